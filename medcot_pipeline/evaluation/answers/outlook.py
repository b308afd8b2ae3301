"""What `medcot plan` says about writing the answers.

Belongs here: which prompts will be answered, and by whom.
Does not belong here: lengths, memory and time (evaluation/outlook.py).
"""

from collections.abc import Mapping

from medcot_pipeline.evaluation.answers.prompts import asked_prompts
from medcot_pipeline.evaluation.outlook import writing_lines
from medcot_pipeline.pipeline.plan import PlanLine
from medcot_pipeline.pipeline.workspace import Workspace
from medcot_pipeline.support.errors import MedcotError


def answer_lines(workspace: Workspace, plan: Mapping[str, PlanLine]) -> list[str]:
    """What writing the answers of either arm will take: lines for people."""
    settings = workspace.settings.answers
    if settings.backend == "endpoint":
        return [f"asked of {settings.endpoint.base_url}"]
    try:
        prompts = [prompt.prompt for prompt in asked_prompts(settings, workspace.root)]
        stages, limited_by = ("base_answers", "tuned_answers"), "MEDCOT_ANSWERS__MAX_NEW_TOKENS"
        return writing_lines(workspace, plan, prompts, settings.max_new_tokens, stages, limited_by)
    except MedcotError as error:
        return [str(error)]
