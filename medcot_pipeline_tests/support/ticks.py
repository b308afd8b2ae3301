"""One evaluation of the schedule or of a sensor, and what it decided.

Belongs here: evaluating, and reading the decision.
Does not belong here: what should be decided.
"""

import dagster as dg

from medcot_pipeline.orchestration.automation import triggers
from medcot_pipeline.pipeline.workspace import Workspace


def tick(name: str, instance: dg.DagsterInstance, workspace: Workspace, cursor: str | None = None) -> dg.SensorResult:
    """One evaluation of the schedule or of a sensor; the schedule's as a sensor's without cursor."""
    settings = workspace.settings.automation
    resources = {"workspace": workspace}
    if name == triggers.RETRAINING:
        (schedule,) = triggers.schedules(settings)
        decision = schedule(dg.build_schedule_context(instance=instance, resources=resources))
        assert isinstance(decision, dg.RunRequest | dg.SkipReason)
        requests = [decision] if isinstance(decision, dg.RunRequest) else []
        return dg.SensorResult(
            run_requests=requests, skip_reason=decision if isinstance(decision, dg.SkipReason) else None
        )
    (sensor,) = [each for each in triggers.sensors(settings) if each.name == name]
    result = sensor(dg.build_sensor_context(instance=instance, cursor=cursor, resources=resources))
    assert isinstance(result, dg.SensorResult)
    return result


def launched(result: dg.SensorResult) -> dg.RunRequest:
    assert result.skip_reason is None, result.skip_reason
    assert result.run_requests
    (request,) = result.run_requests
    return request


def skipped(result: dg.SensorResult) -> str:
    assert not result.run_requests
    assert result.skip_reason and result.skip_reason.skip_message
    return result.skip_reason.skip_message
