"""How things stand.

Belongs here: finding what is current and promoted, what runs and waits, what failed last, and how much disk is used.
Does not belong here: how that is printed (terminal/status.py); what is stale, and why (pipeline/plan.py); mending
(doctor.py).
"""

import shutil
import time
from collections.abc import Iterator

import dagster as dg
from dagster import DagsterEventType
from dagster_shared.error import SerializableErrorInfo

from medcot_pipeline.artifacts.prune import size
from medcot_pipeline.compute.gpu_lock import lock_paths
from medcot_pipeline.corpus.sources.incoming import passed_over
from medcot_pipeline.orchestration.instance.doctor import UNFINISHED
from medcot_pipeline.orchestration.instance.processes import PROCESS_TAG, Process
from medcot_pipeline.pipeline.workspace import Workspace
from medcot_pipeline.release.promoted import ADAPTER, Promoted
from medcot_pipeline.release.record import Adapter
from medcot_pipeline.support.locks import holder_of
from medcot_pipeline.terminal.status import CurrentArtifact, FailedRun, HomeStatus, UnfinishedRun

FOLDERS = ("artifacts", "promoted", "work", "cache", "rejected", "damaged")
FAILURES_SHOWN = 3


def status_of(workspace: Workspace, instance: dg.DagsterInstance) -> HomeStatus:
    """The status of a data folder and of the Dagster home that an instance is of."""
    root = workspace.data
    return HomeStatus(
        profile=workspace.profile,
        data=str(root),
        used_bytes={name: size(root / name) for name in FOLDERS if (root / name).is_dir()},
        free_bytes=shutil.disk_usage(root if root.exists() else root.parent).free,
        gpu=tuple(filter(None, map(holder_of, lock_paths(root)))),
        passed_over=tuple(passed_over(workspace.settings.source, root)),
        promoted=Promoted(root).fingerprint,
        current=tuple(_current(workspace, instance, asset) for asset in workspace.graph.assets),
        runs=tuple(unfinished_runs(instance)),
        failures=tuple(failed_runs(instance, FAILURES_SHOWN)),
    )


def unfinished_runs(instance: dg.DagsterInstance) -> Iterator[UnfinishedRun]:
    """The runs that have not ended, newest first."""
    for record in instance.get_run_records(dg.RunsFilter(statuses=[*UNFINISHED, dg.DagsterRunStatus.QUEUED])):
        run = record.dagster_run
        tag = run.tags.get(PROCESS_TAG)
        process = Process.from_tag(tag) if tag else None
        yield UnfinishedRun(
            run=run.run_id,
            status=run.status.value.lower(),
            for_seconds=max(0.0, time.time() - record.start_time) if record.start_time else None,
            process=str(process) if process else None,
            gone=process is not None and process.state() == "dead",
            said=_last_said(instance, run.run_id),
        )


def failed_runs(instance: dg.DagsterInstance, most: int) -> Iterator[FailedRun]:
    """The last runs that failed, newest first, `most` of them at most."""
    failed = dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE])
    for record in instance.get_run_records(failed, limit=most):
        run = record.dagster_run
        yield FailedRun(run.run_id, record.update_timestamp.isoformat(timespec="seconds"), failure_line(instance, run))


def failure_line(instance: dg.DagsterInstance, run: dg.DagsterRun) -> str:
    """Why a run failed, in one line: the error at the bottom of the first failed step, or what Dagster says."""
    for entry in instance.all_logs(run.run_id, of_type={DagsterEventType.STEP_FAILURE, DagsterEventType.RUN_FAILURE}):
        event = entry.dagster_event
        if event is None:
            continue
        error = event.step_failure_data.error if event.is_step_failure else None
        return f"{event.step_key}: {_cause(error)}" if error else " ".join((event.message or "").split())
    return "nothing is recorded"


def _current(workspace: Workspace, instance: dg.DagsterInstance, asset: str) -> CurrentArtifact:
    artifact = workspace.current(asset)
    if artifact is None:
        return CurrentArtifact(asset)
    manifest, notes = artifact.manifest, []
    promoted = Promoted(workspace.data).adapter if asset == ADAPTER else None
    if promoted:
        another = promoted.fingerprint[:12] if promoted.fingerprint != manifest.fingerprint else "an earlier make"
        notes.append("promoted" if promoted.is_same(Adapter.of(manifest)) else f"promoted is {another}")
    return CurrentArtifact(
        asset=asset,
        fingerprint=manifest.fingerprint,
        made=manifest.created,
        bytes=size(artifact.folder),
        reused=_reused(instance, asset),
        notes=tuple(notes),
    )


def _reused(instance: dg.DagsterInstance, asset: str) -> bool:
    event = instance.get_latest_materialization_event(dg.AssetKey(asset))
    materialised = event.asset_materialization if event else None
    value = materialised.metadata.get("reused") if materialised else None
    return bool(value is not None and value.value)


def _last_said(instance: dg.DagsterInstance, run_id: str) -> str | None:
    """The last line that a stage said."""
    for entry in instance.event_log_storage.get_logs_for_run(run_id, limit=50, ascending=False):
        if entry.dagster_event is None and entry.user_message.startswith("("):
            return " ".join(entry.user_message.split())
    return None


def _cause(error: SerializableErrorInfo) -> str:
    """The first error of this project, or else the one at the bottom: what lies below ours is foreign text."""
    while error.cause is not None and not error.message.startswith("medcot_pipeline."):
        error = error.cause
    return " ".join(error.message.partition(": ")[2].split()) or error.message.strip()
