"""Whether a tick launches a run, and over which assets.

The truth is the plan, as for `medcot sync`: a tick looks at what is, not at what it saw happen, so that a missed tick,
a failed run or a restart loses nothing. A run takes everything that is stale along. For the same state, which is the
fingerprints that the stale assets are to have, at most `automation.max_attempts` runs in a row may fail; nothing is
launched while a run is unfinished.

Belongs here: the decision, given what an outside event changed.
Does not belong here: schedule and sensors themselves (triggers.py), what is stale (pipeline/plan.py).
"""

import itertools
from collections.abc import Sequence

import dagster as dg

from medcot_pipeline.artifacts import canonical_json, sha256_text
from medcot_pipeline.orchestration.instance.doctor import mend
from medcot_pipeline.pipeline.plan import PlanLine, make_plan
from medcot_pipeline.pipeline.workspace import Workspace
from medcot_pipeline.support.progress import Say

LAUNCHED_BY_TAG = "medcot/launched_by"
STATE_TAG = "medcot/state"
UNDER_WAY = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]
ENDED_BADLY = [dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]


def unfinished(instance: dg.DagsterInstance, workspace: Workspace, say: Say) -> dg.SkipReason | None:
    """The reason to launch nothing now, where a run is under way; what a dead one left is mended first, and said."""
    for line in mend(instance, workspace.store):
        say(line)
    runs = instance.get_runs(dg.RunsFilter(statuses=UNDER_WAY), limit=1)
    return dg.SkipReason(f"Run {runs[0].run_id[:8]} is not finished: the next tick looks again.") if runs else None


def failed_before(instance: dg.DagsterInstance, launched_by: str) -> bool:
    """Whether the newest run of all was launched by this schedule or sensor, and failed."""
    newest = instance.get_runs(limit=1)
    return bool(
        newest
        and newest[0].tags.get(LAUNCHED_BY_TAG) == launched_by
        and newest[0].status == dg.DagsterRunStatus.FAILURE
    )


def launch_stale(
    instance: dg.DagsterInstance, workspace: Workspace, launched_by: str, key: str = ""
) -> dg.RunRequest | dg.SkipReason:
    """A run over everything stale and what follows it, or why there is none.

    Args:
        instance: remembers the runs.
        workspace: what is planned.
        launched_by: name of the schedule or sensor.
        key: stands at the beginning of the run's key, such as a revision.
    """
    stale = [line for line in make_plan(workspace) if line.status != "fresh"]
    if not stale:
        return dg.SkipReason("Everything is fresh: nothing to run.")
    state = fingerprint_state(stale)
    runs = instance.get_runs(dg.RunsFilter(tags={STATE_TAG: state}))
    ended = list(itertools.takewhile(lambda run: run.status in ENDED_BADLY, runs))
    refusal = _refusal(ended, workspace.settings.automation.max_attempts)
    if refusal:
        return dg.SkipReason(f"{refusal} It is not launched again until something changes; `medcot sync` runs it now.")
    after = workspace.graph.downstream({line.asset for line in stale})
    return dg.RunRequest(
        run_key="-".join(part for part in (key, state[:12], str(len(runs) + 1)) if part),
        asset_selection=[dg.AssetKey(asset) for asset in workspace.graph.in_order(after)],
        tags={LAUNCHED_BY_TAG: launched_by, STATE_TAG: state},
    )


def fingerprint_state(stale: Sequence[PlanLine]) -> str:
    """sha256 over the fingerprints that stale assets are to have; those that wait have none yet."""
    return sha256_text(canonical_json([[line.asset, line.wanted] for line in stale]))


def _refusal(ended: Sequence[dg.DagsterRun], max_attempts: int) -> str:
    """Why nothing is launched in a state in which the last runs ended badly; empty where another attempt is due."""
    cancelled = [run for run in ended if run.status == dg.DagsterRunStatus.CANCELED]
    if cancelled:
        return f"Run {cancelled[0].run_id[:8]} over the same state was cancelled."
    if len(ended) >= max_attempts:
        return f"{len(ended)} runs over the same state failed, the last is {ended[0].run_id[:8]}."
    return ""
