"""All sections of a profile together.

Belongs here: which sections there are, and what comes before what: the environment before the profile.
Does not belong here: the sections (rooms/).
"""

from pathlib import Path
from typing import Annotated, get_args

from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from medcot_pipeline.settings.rooms.compute import ComputeSettings
from medcot_pipeline.settings.rooms.corpus import DedupSettings, NormalizeSettings, SourceSettings, SplitSettings
from medcot_pipeline.settings.rooms.datasets import SftSettings
from medcot_pipeline.settings.rooms.evaluation import (
    EXAMS,
    JUDGE,
    RUBRICS,
    AnswerSettings,
    ExamSettings,
    JudgeSettings,
    PerplexitySettings,
    ReportSettings,
    ReviewSettings,
    RubricSettings,
)
from medcot_pipeline.settings.rooms.inference import LocalEngineSettings
from medcot_pipeline.settings.rooms.models import BaseModelSettings
from medcot_pipeline.settings.rooms.orchestration import AutomationSettings
from medcot_pipeline.settings.rooms.release import PromotionSettings
from medcot_pipeline.settings.rooms.training import TrackingSettings, TrainingSettings
from medcot_pipeline.settings.section import PREFIX, setting_fields, variable_of


class Settings(BaseSettings):
    """Every section of one profile; environment variables override what the profile says."""

    model_config = SettingsConfigDict(
        extra="forbid",
        frozen=True,
        env_prefix=PREFIX,
        env_nested_delimiter="__",
        env_parse_none_str="null",
        hide_input_in_errors=True,  # a traceback would show the judge's key
    )

    source: SourceSettings = SourceSettings()
    normalize: NormalizeSettings = NormalizeSettings()
    dedup: DedupSettings = DedupSettings()
    splits: SplitSettings = SplitSettings()
    sft: SftSettings = SftSettings()
    base_model: BaseModelSettings = BaseModelSettings()
    training: TrainingSettings = TrainingSettings()
    compute: ComputeSettings = ComputeSettings()
    inference: LocalEngineSettings = LocalEngineSettings()
    perplexity: PerplexitySettings = PerplexitySettings()
    answers: AnswerSettings = AnswerSettings()
    exams: Annotated[ExamSettings, EXAMS] = ExamSettings()
    judge: Annotated[JudgeSettings, JUDGE] = JudgeSettings()
    rubrics: Annotated[RubricSettings, RUBRICS] = RubricSettings()
    review: ReviewSettings = ReviewSettings()
    report: ReportSettings = ReportSettings()
    promotion: PromotionSettings = PromotionSettings()
    tracking: TrackingSettings = TrackingSettings()
    automation: AutomationSettings = AutomationSettings()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment before the profile, nothing else; an empty path in the environment counts as unset."""
        if isinstance(env_settings, EnvSettingsSource):
            paths = {variable_of(name).lower() for name, field in setting_fields(cls) if _is_path(field)}
            env_settings.env_vars = {
                name: value for name, value in env_settings.env_vars.items() if value or name.lower() not in paths
            }
        return env_settings, init_settings


def _is_path(field: FieldInfo) -> bool:
    kinds = (field.annotation, *get_args(field.annotation))
    return any(getattr(kind, "__origin__", kind) is Path for kind in kinds)


def engine_settings(settings: Settings) -> LocalEngineSettings:
    """Rows and memory of the engine that writes, within the memory of training where none of its own is set."""
    limit = settings.inference.max_gpu_memory_gb or settings.training.max_gpu_memory_gb
    return settings.inference.model_copy(update={"max_gpu_memory_gb": limit})
