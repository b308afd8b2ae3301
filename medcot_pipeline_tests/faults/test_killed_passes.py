"""Passes killed with SIGKILL: the command, a run of the web page, the step, the trainer, the daemon.

`make test` runs the short schedule; `make faults` the whole one, at moments that FAULTS_SEED chooses.
"""

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from medcot_pipeline.orchestration.instance.processes import exists
from medcot_pipeline_tests.faults.passes import (
    CORPUS,
    POINTS,
    SERVERS,
    Schedule,
    after,
    at,
    copy_artifacts,
    identities,
    moments,
    run_process,
    wait_for_queue,
    wait_for_status,
    watched,
)
from medcot_pipeline_tests.faults.watcher import model_processes
from medcot_pipeline_tests.support.home import Home
from medcot_pipeline_tests.support.servers import launch, start_daemon, stop_server, webserver

SYNC = ("medcot", "sync", "--only")
PLAIN = 'eval "$(medcot env)" && exec dagster asset materialize --select '


def alive(pid: int) -> Callable[[], bool]:
    """Whether a process runs."""
    return lambda: exists(pid)


TRAINING = ("qlora_adapter",)
FEW_TOKENS = {
    "MEDCOT_TRAINING__MAX_TRAIN_TOKENS": "4000",
    "MEDCOT_TRAINING__CHECKPOINT_STEPS": "1",
    "MEDCOT_TRAINING__VALIDATION_ROWS": "2",
    "MEDCOT_TRACKING__WANDB_MODE": "disabled",
}


def assert_as_undisturbed(schedule: Schedule, undisturbed: Home, *servers: str) -> None:
    """The end is that of a home in which nothing was killed; `servers` may still run."""
    assert identities(schedule.home, schedule.assets) == identities(undisturbed, schedule.assets)
    schedule.assert_nothing_left(*servers)


def test_a_pass_killed_before_during_and_after_publication_ends_as_if_it_had_not_been(
    chain: Home, fresh_home: Home
) -> None:
    assets = CORPUS[:3]
    schedule = Schedule(fresh_home, assets)
    with watched(fresh_home):
        for asset, point in [(assets[0], point) for point in POINTS] + [(assets[1], "written"), (assets[2], "renamed")]:
            schedule.kill_command([*SYNC, ",".join(assets)], f"command, {asset} {point}", at(point, fresh_home, asset))
        schedule.mend_and_finish()
    assert schedule.kills == 6
    assert_as_undisturbed(schedule, chain)


@pytest.mark.faults
@pytest.mark.parametrize(
    "name, command, points, kills",
    [
        ("command", [*SYNC, ",".join(CORPUS)], tuple(POINTS), 18),
        ("dagster asset materialize", ["bash", "-c", PLAIN + ",".join(CORPUS)], ("staged", "written"), 9),
    ],
    ids=["medcot sync", "plain dagster"],
)
def test_commands_killed_at_points_of_every_corpus_stage(
    chain: Home, fresh_home: Home, name: str, command: list[str], points: tuple[str, ...], kills: int
) -> None:
    schedule = Schedule(fresh_home, CORPUS)
    with watched(fresh_home):
        for asset in CORPUS:
            for point in points:
                schedule.kill_command(command, f"{name}, {asset} {point}", at(point, fresh_home, asset))
        schedule.mend_and_finish()
    assert schedule.kills >= kills, schedule.tally
    assert_as_undisturbed(schedule, chain)


@pytest.mark.faults
def test_commands_killed_at_random(chain: Home, fresh_home: Home) -> None:
    schedule = Schedule(fresh_home, CORPUS)
    with watched(fresh_home):
        for seconds in moments(12, 15.0):
            command = [*SYNC, ",".join(CORPUS), "--force", "normalized_corpus"]
            schedule.kill_command(command, f"command, after {seconds:.1f} s", after(seconds))
        schedule.mend_and_finish()
    assert schedule.kills >= 8, schedule.tally
    assert_as_undisturbed(schedule, chain)


@pytest.fixture
def served(fresh_home: Home) -> Iterator[tuple[Home, str]]:
    """A home and the address of its web server."""
    assert fresh_home.run("medcot", "init").returncode == 0
    with webserver(fresh_home) as address:
        yield fresh_home, address


@pytest.mark.faults
def test_runs_of_the_web_page_whose_process_is_killed(chain: Home, served: tuple[Home, str]) -> None:
    home, address = served
    schedule = Schedule(home, CORPUS)
    daemon = start_daemon(home)
    try:
        with watched(home):
            for asset in CORPUS:
                for point in ("staged", "written"):
                    run = launch(address, CORPUS)
                    pid, name = run_process(home, run), f"run of the web page, {asset} {point}"
                    schedule.kill_when(pid, at(point, home, asset), name, alive(pid))
                    wait_for_status(home, run, "FAILURE", "SUCCESS")
            schedule.mend_and_finish()
    finally:
        stop_server(daemon)
    assert schedule.kills >= 8, schedule.tally
    assert_as_undisturbed(schedule, chain, *SERVERS)


@pytest.mark.faults
def test_a_daemon_and_all_its_processes_killed(chain: Home, served: tuple[Home, str]) -> None:
    home, address = served
    schedule = Schedule(home, CORPUS)
    with watched(home):
        for number, asset in enumerate([*CORPUS, CORPUS[-1]]):
            daemon = start_daemon(home)
            try:
                run = launch(address, CORPUS)
                if number % 2:
                    seen, name = at("staged", home, asset), f"daemon and its processes, {asset} staged"
                else:
                    seen, name = after(moments(6, 12.0)[number]), f"daemon and its processes, run {run[:8]} under way"
                schedule.kill_when(daemon.pid, seen, name, alive(daemon.pid))
                os.killpg(daemon.pid, signal.SIGKILL)
            finally:
                stop_server(daemon)
            time.sleep(0.2)
            schedule.assert_no_orphan()
        daemon = start_daemon(home)
        try:
            schedule.mend_and_finish()
            wait_for_status(home, run, "FAILURE", "SUCCESS", "CANCELED")
            wait_for_queue(home)
        finally:
            stop_server(daemon)
    assert schedule.kills == 6, schedule.tally
    assert_as_undisturbed(schedule, chain, *SERVERS)


@pytest.fixture
def training_home(chain: Home, tmp_path: Path) -> Home:
    """A home in which everything before the adapter is there."""
    home = Home(tmp_path / "training")
    home.folder.mkdir()
    copy_artifacts(chain, home, [*CORPUS, "base_model"])
    return home


@pytest.mark.faults
def test_the_trainer_and_its_parent_killed(chain: Home, training_home: Home, tmp_path: Path) -> None:
    undisturbed = Home(tmp_path / "undisturbed")
    undisturbed.folder.mkdir()
    copy_artifacts(chain, undisturbed, [*CORPUS, "base_model"])
    assert undisturbed.run(*SYNC, *TRAINING, **FEW_TOKENS).returncode == 0
    schedule = Schedule(training_home, TRAINING, FEW_TOKENS)
    with watched(training_home):
        for number, seconds in enumerate(moments(12, 25.0)):
            process = schedule.start(*SYNC, *TRAINING)
            while not list(model_processes(training_home.data)) and process.poll() is None:
                time.sleep(0.05)
            trainer = next(model_processes(training_home.data), process.pid)
            victim, who = (trainer, "trainer") if number % 2 else (process.pid, "command while it trains")
            schedule.kill_when(victim, after(seconds), f"{who}, after {seconds:.1f} s", alive(process.pid))
            process.wait(timeout=120)
            schedule.assert_no_orphan()
        schedule.mend_and_finish()
    assert schedule.kills >= 8, schedule.tally
    assert_as_undisturbed(schedule, undisturbed)
