"""The one assembly of the pipeline for Dagster: `build_defs`, and `defs` for every way in.

Belongs here: which assets, jobs, schedules, sensors and resources there are.
Does not: anything that takes time, since every command loads this.
"""

import datetime
import hashlib
import warnings
from typing import Any

import dagster as dg

from medcot_pipeline.artifacts import canonical_json
from medcot_pipeline.assets import corpus, evaluation, promotion, sft, training
from medcot_pipeline.orchestration.automation.alerts import alert_sensor
from medcot_pipeline.orchestration.automation.job import JOB
from medcot_pipeline.orchestration.automation.triggers import schedules, sensors
from medcot_pipeline.orchestration.console import console_logger
from medcot_pipeline.orchestration.instance.executor import run_executor
from medcot_pipeline.settings import Settings
from medcot_pipeline.stages import Workspace, open_workspace, stage_of


def build_defs(settings: Settings | None = None, **overrides: Any) -> dg.Definitions:
    """The definitions over some settings.

    Args:
        settings: those of the environment if not given.
        overrides: resources to replace: `workspace`, `pipes`.
    """
    workspace = overrides.pop("workspace", None) or open_workspace()
    if settings is not None:
        workspace = Workspace(workspace.profile, settings, workspace.root, workspace.store)
    automation = workspace.settings.automation
    freshness = dg.FreshnessPolicy.time_window(fail_window=datetime.timedelta(days=automation.max_age_days))
    definitions = dg.Definitions(
        assets=dg.load_assets_from_modules([corpus, sft, training, evaluation, promotion]),
        jobs=[JOB],
        schedules=schedules(automation),
        sensors=[*sensors(automation), alert_sensor(automation)],
        executor=run_executor,
        resources={"workspace": workspace, "pipes": dg.PipesSubprocessClient(), **overrides},
        loggers={"console": console_logger},
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.PreviewWarning)
        return definitions.map_asset_specs(
            func=lambda spec: spec.replace_attributes(
                code_version=code_version(spec.key.to_user_string(), workspace), freshness_policy=freshness
            )
        )


def code_version(asset: str, workspace: Workspace) -> str:
    """The stage's version constant and a hash of the settings it reads, so that Dagster sees a changed setting."""
    stage = stage_of(asset)
    settings = hashlib.sha256(canonical_json(stage.reads(workspace.settings)).encode()).hexdigest()
    return f"{stage.code_version}+{settings[:12]}"


@dg.definitions
def defs() -> dg.Definitions:
    """The definitions of the environment's profile."""
    return build_defs()
