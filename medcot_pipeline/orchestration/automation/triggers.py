"""The schedule and the sensors: off until somebody switches them on.

The schedule takes whatever is stale. A sensor starts only for what it watches: code that was updated, or a setting
that was changed, waits for the schedule or a person, since it can mean hours of training. Where its run failed it tries
again, as often as `automation.max_attempts` says.

Belongs here: names, times, what each one watches.
Does not belong here: the decision that they share (ticks.py), the alert (alerts.py).
"""

import time
from pathlib import Path

import dagster as dg
from dagster._utils.schedules import is_valid_cron_schedule

from medcot_pipeline.corpus.sources.incoming import note_revision, passed_over, row_files
from medcot_pipeline.corpus.sources.source import newest_revision
from medcot_pipeline.corpus.stages import HUB_REVISION, INCOMING
from medcot_pipeline.evaluation.people.review_file import review_files
from medcot_pipeline.evaluation.people.stages import REVIEW
from medcot_pipeline.orchestration.automation.job import JOB
from medcot_pipeline.orchestration.automation.ticks import failed_before, launch_stale, unfinished
from medcot_pipeline.pipeline.plan import changed_files
from medcot_pipeline.pipeline.workspace import Workspace
from medcot_pipeline.settings import AutomationSettings
from medcot_pipeline.support.errors import MedcotError
from medcot_pipeline.support.progress import duration

RETRAINING = "retraining"
HUB_SENSOR = "hub_revision"
FILE_SENSOR = "new_files"


def schedules(settings: AutomationSettings) -> list[dg.ScheduleDefinition]:
    """The retraining schedule.

    Raises:
        MedcotError: the cron expression is none.
    """
    if not is_valid_cron_schedule(settings.cron):
        raise MedcotError(
            f"Setting automation.cron = {settings.cron!r}: not a cron expression.",
            "Five fields: minute hour day month weekday, such as MEDCOT_AUTOMATION__CRON='0 3 * * 0'.",
        )
    scheduled = dg.schedule(
        name=RETRAINING,
        job=JOB,
        cron_schedule=settings.cron,
        execution_timezone=settings.timezone,
        description="Brings up to date whatever is stale.",
    )
    return [scheduled(retraining)]


def sensors(settings: AutomationSettings) -> list[dg.SensorDefinition]:
    """The sensors on the data set's revision at the hub, and on files of rows and reviews."""
    hub = dg.sensor(
        name=HUB_SENSOR,
        job=JOB,
        minimum_interval_seconds=settings.interval_s,
        description="Follows the data set's newest revision at the hub.",
    )
    files = dg.sensor(
        name=FILE_SENSOR,
        job=JOB,
        minimum_interval_seconds=settings.interval_s,
        description="Takes new files of rows and of review verdicts.",
    )
    return [hub(hub_revision), files(new_files)]


def retraining(
    context: dg.ScheduleEvaluationContext, workspace: dg.ResourceParam[Workspace]
) -> dg.RunRequest | dg.SkipReason:
    """A tick of the schedule."""
    busy = unfinished(context.instance, workspace, context.log.info)
    return busy or launch_stale(context.instance, workspace, RETRAINING)


def hub_revision(context: dg.SensorEvaluationContext, workspace: dg.ResourceParam[Workspace]) -> dg.SensorResult:
    """A tick of the sensor on the hub: note the newest revision, which makes the raw rows stale, and launch.

    Raises:
        MedcotError: the hub does not say what its newest revision is.
    """
    source = workspace.settings.source
    if not source.follow_hub:
        return _skip("No data set is followed: MEDCOT_SOURCE__KIND=hub and MEDCOT_SOURCE__FOLLOW_HUB=true follow one.")
    busy = unfinished(context.instance, workspace, context.log.info)
    if busy:
        return dg.SensorResult(skip_reason=busy)
    revision = newest_revision(source)
    note_revision(workspace.store.root, source.repository, revision)
    if not changed_files(workspace, "raw_medical_o1", HUB_REVISION) and not failed_before(context.instance, HUB_SENSOR):
        return _skip(f"{source.repository} is still at {revision[:12]}.", revision)
    return _result(launch_stale(context.instance, workspace, HUB_SENSOR, revision), revision)


def new_files(context: dg.SensorEvaluationContext, workspace: dg.ResourceParam[Workspace]) -> dg.SensorResult:
    """A tick of the sensor on files: launch once what came in has not changed for a while."""
    busy = unfinished(context.instance, workspace, context.log.info)
    if busy:
        return dg.SensorResult(skip_reason=busy)
    settings, data = workspace.settings, workspace.store.root
    changed = [
        *changed_files(workspace, "raw_medical_o1", INCOMING),
        *changed_files(workspace, "human_review", REVIEW),
    ]
    if not changed and not failed_before(context.instance, FILE_SENSOR):
        beside = [f" {line}." for line in passed_over(settings.source, data)]
        return _skip("No new file of rows or of review verdicts." + "".join(beside))
    unsettled = _unsettled(
        [*row_files(settings.source, data), *review_files(settings, data)], settings.automation.settle_s
    )
    if unsettled:
        return _skip(unsettled)
    return _result(launch_stale(context.instance, workspace, FILE_SENSOR))


def _unsettled(files: list[Path], settle_s: int) -> str:
    """What is said of a file that was written just now, and may be written on; empty where there is none."""
    for path in files:
        age = time.time() - path.stat().st_mtime
        if 0 <= age < settle_s:
            return f"{path.name} was written {duration(age)} ago: it is taken once it stays as it is for {settle_s} s."
    return ""


def _skip(reason: str, cursor: str | None = None) -> dg.SensorResult:
    return dg.SensorResult(skip_reason=dg.SkipReason(reason), cursor=cursor)


def _result(decision: dg.RunRequest | dg.SkipReason, cursor: str | None = None) -> dg.SensorResult:
    if isinstance(decision, dg.SkipReason):
        return dg.SensorResult(skip_reason=decision, cursor=cursor)
    return dg.SensorResult(run_requests=[decision], cursor=cursor)
