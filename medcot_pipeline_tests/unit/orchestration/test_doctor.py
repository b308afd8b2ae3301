"""Runs in a real instance; whole crashes are in faults/test_killed_passes.py."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.events import DagsterEvent, DagsterEventType, EngineEventData
from dagster._core.test_utils import create_run_for_test

from medcot_pipeline.artifacts import ArtifactStore
from medcot_pipeline.orchestration.instance.doctor import mend, mend_runs, unproven_runs
from medcot_pipeline.orchestration.instance.processes import PROCESS_TAG, Process

OWN = Process.own()
DEAD = dataclasses.replace(OWN, started=OWN.started - 1)
ELSEWHERE = dataclasses.replace(OWN, host="another-machine")
Status = dg.DagsterRunStatus


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dg.DagsterInstance]:
    """An instance in SQLite, made once: making one takes seconds."""
    with dg.DagsterInstance.local_temp(str(tmp_path_factory.mktemp("home"))) as opened:
        yield opened


@pytest.fixture
def instance(home: dg.DagsterInstance) -> Iterator[dg.DagsterInstance]:
    """The instance, without runs of another test."""
    yield home
    for run in home.get_runs():
        home.delete_run(run.run_id)


def start_run(instance: dg.DagsterInstance, process: Process | None, status: Status = Status.STARTED) -> str:
    """A run of a process."""
    tags = {PROCESS_TAG: process.to_tag()} if process else {}
    return str(create_run_for_test(instance, job_name="medcot", status=status, tags=tags).run_id)


def status_of(instance: dg.DagsterInstance, run_id: str) -> Status:
    run = instance.get_run_by_id(run_id)
    assert run is not None
    return run.status


def started_by(instance: dg.DagsterInstance, run_id: str, pid: int) -> None:
    """Dagster's own event that names the process of a run."""
    run = instance.get_run_by_id(run_id)
    assert run is not None
    instance.report_engine_event("Started process for run.", run, EngineEventData.in_process(pid))


@pytest.mark.parametrize("status", [Status.NOT_STARTED, Status.STARTING, Status.STARTED])
def test_the_run_of_a_dead_process_fails(instance: dg.DagsterInstance, status: Status) -> None:
    run = start_run(instance, DEAD, status)
    assert mend_runs(instance) == [
        f"run {run[:8]}: its process {DEAD.pid} on {DEAD.host} is gone; it is marked as failed"
    ]
    assert status_of(instance, run) == Status.FAILURE


def test_a_dead_run_that_was_being_canceled_is_canceled(instance: dg.DagsterInstance) -> None:
    run = start_run(instance, DEAD, Status.CANCELING)
    mend_runs(instance)
    assert status_of(instance, run) == Status.CANCELED


def test_a_live_run_is_left_as_it_is(instance: dg.DagsterInstance) -> None:
    run = start_run(instance, OWN)
    assert mend_runs(instance) == unproven_runs(instance) == []
    assert status_of(instance, run) == Status.STARTED


@pytest.mark.parametrize("process", [ELSEWHERE, None])
def test_a_run_of_which_nothing_is_known_is_named_and_left(
    instance: dg.DagsterInstance, process: Process | None
) -> None:
    run = start_run(instance, process)
    assert mend_runs(instance) == []
    (line,) = unproven_runs(instance)
    assert line.startswith(f"run {run[:8]}: left as it is, since ")
    assert line.endswith(f"If it is gone: `dagster run delete {run}`.")
    assert status_of(instance, run) == Status.STARTED


def test_without_a_tag_the_process_of_dagsters_own_event_is_the_proof(instance: dg.DagsterInstance) -> None:
    run = start_run(instance, None, Status.STARTING)
    started_by(instance, run, 2**22 + 1)  # above every number that the kernel gives
    assert mend_runs(instance)[0].startswith(f"run {run[:8]}: its process {2**22 + 1} is gone; ")
    assert status_of(instance, run) == Status.FAILURE


def test_without_a_tag_a_number_that_is_in_use_proves_nothing(instance: dg.DagsterInstance) -> None:
    run = start_run(instance, None, Status.STARTING)
    started_by(instance, run, OWN.pid)
    assert mend_runs(instance) == []
    assert status_of(instance, run) == Status.STARTING


def test_a_run_that_was_marked_as_failed_while_its_process_works_is_left_as_it_is(
    instance: dg.DagsterInstance,
) -> None:
    run = start_run(instance, OWN, Status.FAILURE)
    assert mend_runs(instance) == unproven_runs(instance) == []
    assert status_of(instance, run) == Status.FAILURE


def test_mending_says_why_in_the_runs_log(instance: dg.DagsterInstance) -> None:
    run = start_run(instance, DEAD)
    mend_runs(instance)
    (entry,) = instance.all_logs(run, of_type=DagsterEventType.RUN_FAILURE)
    assert isinstance(entry.dagster_event, DagsterEvent)
    assert entry.dagster_event.message == f"Mended: its process {DEAD.pid} on {DEAD.host} is gone."


def test_a_second_round_finds_nothing_to_mend(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path / "data", tmp_path)
    start_run(instance, DEAD)
    assert len(mend(instance, store)) == 1
    assert mend(instance, store) == []
