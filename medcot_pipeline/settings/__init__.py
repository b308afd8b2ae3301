"""Settings: pydantic sections by room, profiles in YAML, overrides from the environment.

Belongs here: what can be set, its unit and range, the errors for values that cannot be used, and what of it is part of
an artifact's identity.
Does not belong here: anything that acts on a setting.
"""

from medcot_pipeline.settings.identity import recorded
from medcot_pipeline.settings.load import (
    data_dir,
    load_settings,
    profile_name,
    profile_names,
    project_file,
    project_root,
)
from medcot_pipeline.settings.paths import folder_of, require_utf8
from medcot_pipeline.settings.rooms.compute import ComputeSettings
from medcot_pipeline.settings.rooms.corpus import (
    Action,
    DedupSettings,
    FieldNames,
    NoiseActions,
    NormalizeSettings,
    SourceSettings,
    SplitSettings,
)
from medcot_pipeline.settings.rooms.datasets import SftSettings
from medcot_pipeline.settings.rooms.evaluation import (
    AnswerSettings,
    ExamSettings,
    JudgeServerSettings,
    JudgeSettings,
    PerplexitySettings,
    ReportSettings,
    ReviewSettings,
    RubricSettings,
)
from medcot_pipeline.settings.rooms.inference import EndpointSettings, LocalEngineSettings, ServerSettings
from medcot_pipeline.settings.rooms.models import BaseModelSettings
from medcot_pipeline.settings.rooms.orchestration import AutomationSettings
from medcot_pipeline.settings.rooms.release import PromotionSettings
from medcot_pipeline.settings.rooms.training import TrackingSettings, TrainingSettings
from medcot_pipeline.settings.root import Settings, engine_settings
from medcot_pipeline.settings.section import setting_fields, variable_of

__all__ = [
    "Action",
    "AnswerSettings",
    "AutomationSettings",
    "BaseModelSettings",
    "ComputeSettings",
    "DedupSettings",
    "EndpointSettings",
    "ExamSettings",
    "FieldNames",
    "JudgeServerSettings",
    "JudgeSettings",
    "LocalEngineSettings",
    "NoiseActions",
    "NormalizeSettings",
    "PerplexitySettings",
    "PromotionSettings",
    "ReportSettings",
    "ReviewSettings",
    "RubricSettings",
    "ServerSettings",
    "Settings",
    "SftSettings",
    "SourceSettings",
    "SplitSettings",
    "TrackingSettings",
    "TrainingSettings",
    "data_dir",
    "engine_settings",
    "folder_of",
    "load_settings",
    "profile_name",
    "profile_names",
    "project_file",
    "project_root",
    "recorded",
    "require_utf8",
    "setting_fields",
    "variable_of",
]
