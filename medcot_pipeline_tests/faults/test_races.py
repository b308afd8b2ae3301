"""Two passes at once: in one Dagster home, and in two homes over one data folder."""

import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.test_utils import create_run_for_test

from medcot_pipeline.compute.gpus import gpu_is_here
from medcot_pipeline_tests.faults.passes import (
    CORPUS,
    PATIENCE,
    Schedule,
    copy_artifacts,
    identities,
    instance,
    unfinished_runs,
    watched,
)
from medcot_pipeline_tests.faults.watcher import model_processes
from medcot_pipeline_tests.support.home import Home

PUBLISHED = re.compile(r"\) (\w+): published in")
WAITING = re.compile(r"waiting for (the GPU.*|\w+ [0-9a-f]{12}), which is held by")
HOLDER = "qlora_adapter of run 0a1b2c3d"
HOLD_THE_GPU = """
import sys
from pathlib import Path
from medcot_pipeline.compute.gpu_lock import gpu_lock, lock_paths

with gpu_lock(lock_paths(Path(sys.argv[1])), sys.argv[2], print):
    print("held", flush=True)
    sys.stdin.readline()
"""
SETTINGS_WITH_POOLS = """
concurrency:
  pools: {granularity: op}
  runs: {tag_concurrency_limits: [{key: medcot/launched_by, limit: 1}]}
run_monitoring: {enabled: true, free_slots_after_run_end_seconds: 60}
"""


def race(home: Home, assets: tuple[str, ...], homes: tuple[str, ...], **overrides: str) -> str:
    """Two syncs of the same assets at once, each in the home of that name; what they said."""
    passes = [
        Schedule(home, assets, overrides | {"DAGSTER_HOME": str(home.folder / name)}).start(
            "medcot", "sync", "--only", ",".join(assets)
        )
        for name in homes
    ]
    assert [each.wait(timeout=600) for each in passes] == [0, 0], (home.folder / "passes.log").read_text()
    return (home.folder / "passes.log").read_text(encoding="utf-8")


@pytest.mark.parametrize("homes", [("dagster", "dagster"), ("dagster", "another")], ids=["one home", "two homes"])
def test_two_syncs_at_once_both_succeed_and_every_asset_is_made_once(
    chain: Home, fresh_home: Home, homes: tuple[str, ...]
) -> None:
    assets = CORPUS[:3]
    with watched(fresh_home):
        said = race(fresh_home, assets, homes)
    assert Counter(PUBLISHED.findall(said)) == Counter(assets)
    assert identities(fresh_home, assets) == identities(chain, assets)
    assert [len(list(fresh_home.data.glob(f"artifacts/{asset}/*"))) for asset in assets] == [1, 1, 1]


@pytest.fixture
def holder(fresh_home: Home) -> Iterator["subprocess.Popen[str]"]:
    """Another live process that holds the GPU, as a training would."""
    assert fresh_home.run("medcot", "init").returncode == 0
    with subprocess.Popen(
        [sys.executable, "-c", HOLD_THE_GPU, str(fresh_home.data), HOLDER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def said_so_far(home: Home) -> str:
    """What all passes over the home said."""
    return (home.folder / "passes.log").read_text(encoding="utf-8")


def sync_that_waits(home: Home, waits_for: str) -> "subprocess.Popen[bytes]":
    """A sync of the base model, once it says that it waits, and for what."""
    waiting = Schedule(home, ("base_model",)).start("medcot", "sync", "--only", "base_model")
    deadline = time.monotonic() + PATIENCE
    while not re.search(f"waiting for {waits_for}", said_so_far(home)):
        assert waiting.poll() is None and time.monotonic() < deadline, said_so_far(home)
        time.sleep(0.1)
    return waiting


def interrupt(home: Home, waiting: "subprocess.Popen[bytes]") -> None:
    """Ctrl-C; the pass ends at once, in one line."""
    waiting.send_signal(signal.SIGINT)
    assert waiting.wait(timeout=PATIENCE) == 1
    assert said_so_far(home).splitlines()[-1].startswith("medcot: Interrupted.")


def test_a_pass_that_waits_for_the_gpu_says_for_whom_and_can_be_interrupted(
    fresh_home: Home, holder: "subprocess.Popen[str]"
) -> None:
    waiting = sync_that_waits(fresh_home, "the GPU")
    held_by = rf"\(\d+/\d+\) base_model: waiting for the GPU.*, which is held by .*process {holder.pid}\b"
    assert re.search(held_by, said_so_far(fresh_home))
    assert gpu_is_here() or f"which is held by {HOLDER}, process {holder.pid}" in said_so_far(fresh_home)
    interrupt(fresh_home, waiting)
    assert (list(model_processes(fresh_home.data)), unfinished_runs(fresh_home)) == ([], [])
    holder.kill()
    holder.wait()
    Schedule(fresh_home, ("base_model",)).mend_and_finish()


def test_a_pass_that_waits_for_another_that_makes_the_same_says_for_whom_and_can_be_interrupted(
    fresh_home: Home, holder: "subprocess.Popen[str]"
) -> None:
    first = sync_that_waits(fresh_home, "the GPU")
    second = sync_that_waits(fresh_home, r"base_model [0-9a-f]{12}")
    held_by = r"waiting for base_model [0-9a-f]{12}, which is held by base_model of run [0-9a-f]{8} in "
    assert re.search(held_by + f"{re.escape(str(fresh_home.data))}, process {first.pid}\\b", said_so_far(fresh_home))
    interrupt(fresh_home, second)
    holder.kill()
    assert first.wait(timeout=PATIENCE) == 0
    assert PUBLISHED.findall(said_so_far(fresh_home)) == ["base_model"]
    Schedule(fresh_home, ("base_model",)).assert_nothing_left()


def test_when_the_process_that_holds_the_gpu_is_killed_the_waiting_pass_goes_on(
    fresh_home: Home, holder: "subprocess.Popen[str]"
) -> None:
    waiting = sync_that_waits(fresh_home, "the GPU")
    holder.kill()
    assert waiting.wait(timeout=PATIENCE) == 0
    assert PUBLISHED.findall(said_so_far(fresh_home)) == ["base_model"]
    Schedule(fresh_home, ("base_model",)).assert_nothing_left()


def test_a_pass_that_is_killed_while_it_waits_for_the_gpu_holds_up_no_other(
    fresh_home: Home, holder: "subprocess.Popen[str]"
) -> None:
    schedule = Schedule(fresh_home, ("base_model",))
    waiting = sync_that_waits(fresh_home, "the GPU")
    waiting.kill()
    waiting.wait()
    schedule.assert_no_orphan()
    holder.kill()
    holder.wait()
    said = schedule.mend_and_finish()
    assert re.search(rf"run [0-9a-f]{{8}}: its process {waiting.pid} on \S+ is gone; it is marked as failed", said)
    schedule.assert_nothing_left()


def test_a_slot_of_the_pool_that_earlier_versions_had_holds_nothing_up(fresh_home: Home) -> None:
    """In a home of then: its settings, the pool `gpu`, and a slot that a killed run still holds."""
    folder = fresh_home.folder / "dagster"
    folder.mkdir()
    (folder / "dagster.yaml").write_text(SETTINGS_WITH_POOLS)
    assert fresh_home.run("medcot", "init").returncode == 0
    with instance(fresh_home) as opened:
        opened.event_log_storage.set_concurrency_slots("gpu", 1)
        run = create_run_for_test(opened, job_name="medcot", status=dg.DagsterRunStatus.FAILURE)
        assert opened.event_log_storage.claim_concurrency_slot("gpu", run.run_id, "qlora_adapter").is_claimed
    Schedule(fresh_home, ("base_model",)).mend_and_finish()


@pytest.mark.faults
@pytest.mark.parametrize("homes", [("dagster", "dagster"), ("dagster", "another")], ids=["one home", "two homes"])
def test_two_trainings_at_once_train_once_and_the_second_says_for_whom_it_waits(
    chain: Home, tmp_path: Path, homes: tuple[str, ...]
) -> None:
    home = Home(tmp_path)
    copy_artifacts(chain, home, [*CORPUS, "base_model"])
    with watched(home):
        said = race(home, ("qlora_adapter",), homes, MEDCOT_TRAINING__MAX_TRAIN_TOKENS="1500")
    assert PUBLISHED.findall(said) == ["qlora_adapter"]
    assert WAITING.search(said), said
