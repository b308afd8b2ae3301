"""Who is told that a run failed: the log, and a webhook where one is set.

What is told names the run, its assets and who launched it, and nothing else: an error's own text can quote rows, and a
webhook leads out of the house.

Belongs here: the alert and how it is sent.
Does not belong here: whether a failed run is launched again (ticks.py).
"""

import asyncio
from typing import Any

import dagster as dg
from pydantic import SecretStr

from medcot_pipeline.orchestration.automation.ticks import LAUNCHED_BY_TAG, STATE_TAG
from medcot_pipeline.pipeline.workspace import Workspace
from medcot_pipeline.settings import AutomationSettings
from medcot_pipeline.support.errors import MedcotError
from medcot_pipeline.support.net.client import open_client

ALERT_SENSOR = "failure_alert"
WEBHOOK_SECONDS = 10.0
"""After which a webhook that does not answer is left alone."""


def alert_sensor(settings: AutomationSettings) -> dg.SensorDefinition:
    """The sensor that tells of failed runs; it runs from the start, since it launches nothing."""
    alerting = dg.run_failure_sensor(
        name=ALERT_SENSOR,
        minimum_interval_seconds=settings.interval_s,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Tells the log, and the webhook where one is set, of every failed run.",
    )
    return alerting(failure_alert)


def failure_alert(context: dg.RunFailureSensorContext, workspace: dg.ResourceParam[Workspace]) -> None:
    """Tell of one failed run."""
    run = context.dagster_run
    failed = sorted({event.step_key for event in context.get_step_failure_events() if event.step_key})
    alert = {
        "event": "run failed",
        "profile": workspace.profile,
        "run": run.run_id,
        "job": run.job_name,
        "assets": failed,
        "launched_by": run.tags.get(LAUNCHED_BY_TAG, "a person"),
        "state": run.tags.get(STATE_TAG, "")[:12],
    }
    context.log.error(f"run {run.run_id[:8]} failed at {', '.join(failed) or 'its start'}: see its page")
    problem = send(workspace.settings.automation.webhook_url, alert)
    if problem:
        context.log.warning(problem)


def send(webhook: SecretStr, alert: dict[str, Any]) -> str:
    """Post an alert as JSON; what went wrong, in one line without the address, or nothing. It never raises."""
    url = webhook.get_secret_value()
    if not url:
        return ""
    try:
        status = asyncio.run(_post(url, alert))
    except MedcotError as error:
        return f"the webhook was not told: {error}"
    except Exception as error:  # an alert that cannot be sent must not fail what it tells of
        return f"the webhook was not told ({error.__class__.__name__})"
    return "" if status < 300 else f"the webhook was not told (HTTP {status})"


async def _post(url: str, alert: dict[str, Any]) -> int:
    async with (
        asyncio.timeout(WEBHOOK_SECONDS),
        open_client(url) as client,
        client.stream("POST", url, json=alert) as told,
    ):
        return told.status_code  # what it says beside that is not read
