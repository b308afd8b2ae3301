"""What a crash leaves behind, and mending it.

A process that is killed leaves its run started for ever, and files half made. Each is mended only where its process is
proven gone; what lives is never touched.

Belongs here: runs; the whole round of mending.
Does not belong here: files (artifacts/leftovers.py), or what a process is (processes.py).
"""

from collections.abc import Iterator

import dagster as dg
from dagster._core.storage.event_log.sqlite import SqliteEventLogStorage

from medcot_pipeline.artifacts import ArtifactStore
from medcot_pipeline.artifacts.leftovers import clear_leftovers
from medcot_pipeline.orchestration.instance.processes import PROCESS_TAG, Process, exists
from medcot_pipeline.release.promoted import Promoted

UNFINISHED = [
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


def mend(instance: dg.DagsterInstance, store: ArtifactStore) -> list[str]:
    """Fail the runs of dead processes, finish their promotions, and remove what they left half made.

    Returns:
        One line for everything that was mended; none where nothing was to mend.
    """
    return [*mend_runs(instance), *Promoted(store.root).catch_up(store), *clear_leftovers(store)]


def mend_runs(instance: dg.DagsterInstance) -> list[str]:
    """Fail the runs whose process is dead."""
    mended = []
    for run in instance.get_runs(dg.RunsFilter(statuses=UNFINISHED)):
        reason = proof_of_death(instance, run)
        if reason:
            _end(instance, run, reason)
            mended.append(f"run {run.run_id[:8]}: {reason}; it is marked as failed")
    return mended


def unproven_runs(instance: dg.DagsterInstance) -> list[str]:
    """One line for every unfinished run of which nothing says whether its process lives; it is left as it is."""
    lines = []
    for run in instance.get_runs(dg.RunsFilter(statuses=UNFINISHED[1:])):
        state = _process_state(run)
        if state != "alive" and proof_of_death(instance, run) is None:
            where = Process.from_tag(run.tags[PROCESS_TAG]) if state else "a process that is not recorded"
            lines.append(
                f"run {run.run_id[:8]}: left as it is, since {where} cannot be seen from here. "
                f"If it is gone: `dagster run delete {run.run_id}`."
            )
    return lines


def proof_of_death(instance: dg.DagsterInstance, run: dg.DagsterRun) -> str | None:
    """Why a run's process is known to be gone, or None where it lives or nothing is known.

    The run's own tag is the proof. A run that was killed before it wrote the tag has at most the number of its process
    in Dagster's events; that proves something only in a storage of this machine, while nobody else has the number.
    """
    state = _process_state(run)
    if state:
        return f"its {Process.from_tag(run.tags[PROCESS_TAG])} is gone" if state == "dead" else None
    if not isinstance(instance.event_log_storage, SqliteEventLogStorage):
        return None
    pid = max(_pids_in_events(instance, run.run_id), default=None)
    return f"its process {pid} is gone" if pid is not None and not exists(pid) else None


def _process_state(run: dg.DagsterRun) -> str | None:
    """`alive`, `dead` or `elsewhere` by the run's tag; None without one."""
    tag = run.tags.get(PROCESS_TAG)
    return Process.from_tag(tag).state() if tag else None


def _end(instance: dg.DagsterInstance, run: dg.DagsterRun, reason: str) -> None:
    message = f"Mended: {reason}."
    if run.status == dg.DagsterRunStatus.CANCELING:
        instance.report_run_canceled(run, message)
    else:
        instance.report_run_failed(run, message)


def _pids_in_events(instance: dg.DagsterInstance, run_id: str) -> Iterator[int]:
    """Process numbers in Dagster's own events of a run."""
    for entry in instance.all_logs(run_id, of_type=dg.DagsterEventType.ENGINE_EVENT):
        event = entry.dagster_event
        pid = event.engine_event_data.metadata.get("pid") if event else None
        if pid is not None and str(pid.value).isdigit():
            yield int(str(pid.value))
