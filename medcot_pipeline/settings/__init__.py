"""Settings: one pydantic section per stage, profiles in YAML, overrides from the environment.

Belongs here: what can be set, its unit and range, and the errors for values that cannot be used.
Does not: anything that acts on a setting.
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
from medcot_pipeline.settings.models import (
    AnswerSettings,
    AutomationSettings,
    BaseModelSettings,
    DedupSettings,
    ExamSettings,
    JudgeSettings,
    NormalizeSettings,
    PerplexitySettings,
    PromotionSettings,
    ReportSettings,
    ReviewSettings,
    Settings,
    SftSettings,
    SourceSettings,
    SplitSettings,
    TrackingSettings,
    TrainingSettings,
)
from medcot_pipeline.settings.paths import folder_of, require_utf8

__all__ = [
    "AnswerSettings",
    "AutomationSettings",
    "BaseModelSettings",
    "DedupSettings",
    "ExamSettings",
    "JudgeSettings",
    "NormalizeSettings",
    "PerplexitySettings",
    "PromotionSettings",
    "ReportSettings",
    "ReviewSettings",
    "Settings",
    "SftSettings",
    "SourceSettings",
    "SplitSettings",
    "TrackingSettings",
    "TrainingSettings",
    "data_dir",
    "folder_of",
    "load_settings",
    "profile_name",
    "profile_names",
    "project_file",
    "project_root",
    "recorded",
    "require_utf8",
]
