"""The pipeline at a glance: every stage in its order, and the workspace that a command works with.

A stage is in its room: its function, its identity and its checks; here is its line alone.
"""

from medcot_pipeline.artifacts import ArtifactStore
from medcot_pipeline.corpus import stages as corpus
from medcot_pipeline.datasets import stages as datasets
from medcot_pipeline.evaluation.answers import stages as answers
from medcot_pipeline.evaluation.exams import stages as exams
from medcot_pipeline.evaluation.judging import stages as judging
from medcot_pipeline.evaluation.people import stages as people
from medcot_pipeline.evaluation.perplexity import stages as perplexity
from medcot_pipeline.evaluation.report import stages as report
from medcot_pipeline.evaluation.rubrics import stages as rubrics
from medcot_pipeline.models import stages as models
from medcot_pipeline.pipeline.graph import Graph
from medcot_pipeline.pipeline.workspace import Workspace
from medcot_pipeline.release import stages as release
from medcot_pipeline.release.incumbent import find_incumbent
from medcot_pipeline.settings import data_dir, load_settings, profile_name, project_root
from medcot_pipeline.training import stages as training

STAGES = (
    *corpus.STAGES,  # raw_medical_o1 -> normalized_corpus -> deduplicated_corpus -> corpus_splits
    *datasets.STAGES,  # corpus_splits -> sft_dataset
    *models.STAGES,  # base_model
    *training.STAGES,  # sft_dataset, corpus_splits, base_model -> qlora_adapter
    *perplexity.STAGES,  # base_perplexity, tuned_perplexity -> perplexity_report
    *answers.STAGES,  # base_answers, tuned_answers -> model_answers
    *exams.STAGES,  # base_exams, tuned_exams -> exam_report
    *judging.STAGES,  # model_answers -> judgements
    *rubrics.STAGES,  # model_answers -> rubric_grades
    *people.STAGES,  # model_answers -> review_pack -> human_review
    *report.STAGES,  # all reports -> eval_report
    *release.STAGES,  # eval_report, qlora_adapter -> promotion
)
"""In an order in which every asset comes after its inputs; what loads the base stands after what trains it."""
GRAPH = Graph(STAGES, find_incumbent)


def open_workspace(profile: str | None = None) -> Workspace:
    """The workspace that the environment describes.

    Raises:
        MedcotError: a setting is unknown or cannot be used.
    """
    root, data = project_root(), data_dir()
    return Workspace(profile_name(profile), load_settings(profile), root, ArtifactStore(data, root), GRAPH)
