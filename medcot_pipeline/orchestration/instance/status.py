"""How things stand, on one screen.

Belongs here: what is current and promoted, what runs and waits, what failed last, and how much disk is used.
Does not: what is stale, and why (pipeline/plan.py); mending (doctor.py).
"""

import datetime
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

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
from medcot_pipeline.support.progress import duration, size_text

FOLDERS = ("artifacts", "promoted", "work", "cache", "rejected", "damaged")
FAILURES_SHOWN = 3


def status_lines(workspace: Workspace, instance: dg.DagsterInstance) -> list[str]:
    """The screen, line by line."""
    return [
        f"Profile {workspace.profile}, data in {workspace.store.root}",
        f"Disk: {_disk(workspace.store.root)}",
        f"GPU: {', '.join(filter(None, map(holder_of, lock_paths(workspace.store.root)))) or 'free'}",
        *(f"Further rows: {line}" for line in passed_over(workspace.settings.source, workspace.store.root)),
        "Current:",
        *_current(workspace, instance),
        "Runs:",
        *(list(_runs(instance)) or ["  none"]),
        "Last failures:",
        *(list(_failures(instance)) or ["  none"]),
    ]


def failure_line(instance: dg.DagsterInstance, run: dg.DagsterRun) -> str:
    """Why a run failed, in one line: the error at the bottom of the first failed step, or what Dagster says."""
    for entry in instance.all_logs(run.run_id, of_type={DagsterEventType.STEP_FAILURE, DagsterEventType.RUN_FAILURE}):
        event = entry.dagster_event
        if event is None:
            continue
        error = event.step_failure_data.error if event.is_step_failure else None
        return f"{event.step_key}: {_cause(error)}" if error else " ".join((event.message or "").split())
    return "nothing is recorded"


def _disk(root: Path) -> str:
    used = [(name, size(root / name)) for name in FOLDERS if (root / name).is_dir()]
    free = shutil.disk_usage(root if root.exists() else root.parent).free
    parts = ", ".join(f"{name} {size_text(count)}" for name, count in used) or "nothing"
    return f"{parts}; {size_text(free)} free"


def _current(workspace: Workspace, instance: dg.DagsterInstance) -> Iterator[str]:
    store = workspace.store
    for asset in workspace.graph.assets:
        manifest = store.current(asset)
        if manifest is None:
            yield f"  {asset:20} missing"
            continue
        age = time.time() - datetime.datetime.fromisoformat(manifest.created).timestamp()
        notes = [f"made {duration(max(0.0, age))} ago"]
        if _reused(instance, asset):
            notes.append("used again by the last run")
        promoted = Promoted(store.root).adapter if asset == ADAPTER else None
        if promoted:
            another = promoted.fingerprint[:12] if promoted.fingerprint != manifest.fingerprint else "an earlier make"
            notes.append("promoted" if promoted.is_same(Adapter.of(manifest)) else f"promoted is {another}")
        yield f"  {asset:20} {manifest.fingerprint[:12]}  {', '.join(notes)}"


def _reused(instance: dg.DagsterInstance, asset: str) -> bool:
    event = instance.get_latest_materialization_event(dg.AssetKey(asset))
    materialised = event.asset_materialization if event else None
    value = materialised.metadata.get("reused") if materialised else None
    return bool(value is not None and value.value)


def _runs(instance: dg.DagsterInstance) -> Iterator[str]:
    for record in instance.get_run_records(dg.RunsFilter(statuses=[*UNFINISHED, dg.DagsterRunStatus.QUEUED])):
        run = record.dagster_run
        tag = run.tags.get(PROCESS_TAG)
        process = Process.from_tag(tag) if tag else None
        where = f", {process}" if process else ""
        gone = ", which is gone: run `medcot doctor`" if process and process.state() == "dead" else ""
        since = f", for {duration(max(0.0, time.time() - record.start_time))}" if record.start_time else ""
        yield f"  {run.run_id[:8]} {run.status.value.lower()}{since}{where}{gone}"
        said = _last_said(instance, run.run_id)
        if said:
            yield f"           {said}"


def _last_said(instance: dg.DagsterInstance, run_id: str) -> str | None:
    """The last line that a stage said."""
    for entry in instance.event_log_storage.get_logs_for_run(run_id, limit=50, ascending=False):
        if entry.dagster_event is None and entry.user_message.startswith("("):
            return " ".join(entry.user_message.split())
    return None


def _failures(instance: dg.DagsterInstance) -> Iterator[str]:
    failed = dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE])
    for record in instance.get_run_records(failed, limit=FAILURES_SHOWN):
        when = f"{record.update_timestamp:%Y-%m-%d %H:%M}"
        yield f"  {when}  {record.dagster_run.run_id[:8]}  {failure_line(instance, record.dagster_run)}"


def _cause(error: SerializableErrorInfo) -> str:
    """The first error of this project, or else the one at the bottom: what lies below ours is foreign text."""
    while error.cause is not None and not error.message.startswith("medcot_pipeline."):
        error = error.cause
    return " ".join(error.message.partition(": ")[2].split()) or error.message.strip()
