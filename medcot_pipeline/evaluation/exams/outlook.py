"""What `medcot plan` says about asking the exams.

Belongs here: which questions will be asked.
Does not belong here: lengths, memory and time (evaluation/outlook.py).
"""

from collections.abc import Mapping

from medcot_pipeline.evaluation.exams.asking import put
from medcot_pipeline.evaluation.exams.files import exam_files, read_exam, require_exams
from medcot_pipeline.evaluation.outlook import writing_lines
from medcot_pipeline.pipeline.plan import PlanLine
from medcot_pipeline.pipeline.workspace import Workspace
from medcot_pipeline.support.errors import MedcotError


def exam_lines(workspace: Workspace, plan: Mapping[str, PlanLine]) -> list[str]:
    """What asking either arm the exams will take: lines for people; none where no exams are set.

    If the model's context is shorter than the token limit of an answer, less is written than these lines say.
    """
    settings = workspace.settings.exams
    if settings.folder is None:
        return []
    try:
        files = exam_files(workspace.settings, workspace.root)
        require_exams(settings.folder, files)
        exams = [read_exam(path, settings.max_questions, settings.seed) for path in files]
        questions = [put(question) for exam in exams for question in exam.questions] * settings.samples
        stages, limited_by = ("base_exams", "tuned_exams"), "MEDCOT_EXAMS__MAX_NEW_TOKENS"
        return writing_lines(workspace, plan, questions, settings.max_new_tokens, stages, limited_by)
    except MedcotError as error:
        return [str(error)]
