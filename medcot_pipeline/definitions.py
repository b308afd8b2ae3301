"""The one assembly of the pipeline for Dagster: `build_defs`, and `defs` for every way in.

Belongs here: which assets, jobs, schedules, sensors and resources there are.
Does not belong here: anything that takes time, since every command loads this.
"""

import dataclasses
import datetime
import warnings
from typing import Any

import dagster as dg

from medcot_pipeline.orchestration.assets import asset_of, code_version
from medcot_pipeline.orchestration.automation.alerts import alert_sensor
from medcot_pipeline.orchestration.automation.job import JOB
from medcot_pipeline.orchestration.automation.triggers import schedules, sensors
from medcot_pipeline.orchestration.console import console_logger
from medcot_pipeline.settings import Settings
from medcot_pipeline.table import open_workspace


def build_defs(settings: Settings | None = None, **overrides: Any) -> dg.Definitions:
    """The definitions over some settings.

    Args:
        settings: those of the environment if not given.
        overrides: resources to replace: `workspace`, `pipes`.
    """
    workspace = overrides.pop("workspace", None) or open_workspace()
    if settings is not None:
        workspace = dataclasses.replace(workspace, settings=settings)
    automation = workspace.settings.automation
    freshness = dg.FreshnessPolicy.time_window(fail_window=datetime.timedelta(days=automation.max_age_days))
    definitions = dg.Definitions(
        assets=[asset_of(stage) for stage in workspace.graph.stages],
        jobs=[JOB],
        schedules=schedules(automation),
        sensors=[*sensors(automation), alert_sensor(automation)],
        executor=dg.in_process_executor,
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


@dg.definitions
def defs() -> dg.Definitions:
    """The definitions of the environment's profile."""
    return build_defs()
