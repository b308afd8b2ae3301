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

from medcot_pipeline.orchestration.instance.processes import PROCESS_TAG
from medcot_pipeline_tests.faults.passes import (
    CORPUS,
    PATIENCE,
    Schedule,
    copy_artifacts,
    identities,
    instance,
    taken_slots,
    watched,
)
from medcot_pipeline_tests.support.home import Home
from medcot_pipeline_tests.support.live_process import SAY_WHO

PUBLISHED = re.compile(r"\) (\w+): published in")
WAITING = re.compile(r"waiting for (the pool gpu|\w+ [0-9a-f]{12}), which is held by")


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
def held(fresh_home: Home) -> Iterator[tuple[str, "subprocess.Popen[str]"]]:
    """A run of another live process that holds the slot of the pool `gpu`, and that process."""
    assert fresh_home.run("medcot", "init").returncode == 0
    with (
        subprocess.Popen(
            [sys.executable, "-c", SAY_WHO], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as process,
        instance(fresh_home) as opened,
    ):
        assert process.stdout is not None
        tags = {PROCESS_TAG: process.stdout.readline().strip()}
        run = create_run_for_test(opened, job_name="medcot", status=dg.DagsterRunStatus.STARTED, tags=tags)
        assert opened.event_log_storage.claim_concurrency_slot("gpu", run.run_id, "qlora_adapter").is_claimed
        yield run.run_id, process
        process.kill()


def wait_until_it_waits(home: Home) -> "tuple[subprocess.Popen[bytes], str]":
    """A sync that waits for the slot, and what it says."""
    waiting = Schedule(home, ("base_model",)).start("medcot", "sync", "--only", "base_model")
    deadline = time.monotonic() + PATIENCE
    log = home.folder / "passes.log"
    while "waiting for the pool gpu" not in log.read_text():
        assert waiting.poll() is None and time.monotonic() < deadline, log.read_text()
        time.sleep(0.1)
    return waiting, log.read_text()


def test_a_pass_that_waits_for_a_slot_says_for_whom_and_can_be_interrupted(
    fresh_home: Home, held: tuple[str, "subprocess.Popen[str]"]
) -> None:
    run, holder = held
    waiting, said = wait_until_it_waits(fresh_home)
    assert f"which is held by qlora_adapter of run {run[:8]}, process {holder.pid} on " in said
    waiting.send_signal(signal.SIGINT)
    assert waiting.wait(timeout=PATIENCE) == 1
    assert (fresh_home.folder / "passes.log").read_text().splitlines()[-1].startswith("medcot: Interrupted.")
    assert set(taken_slots(fresh_home)) == {run}, "and the interrupted pass does not wait any more"


def test_a_waiting_pass_mends_the_run_of_a_killed_holder_and_goes_on(
    fresh_home: Home, held: tuple[str, "subprocess.Popen[str]"]
) -> None:
    run, holder = held
    waiting, _ = wait_until_it_waits(fresh_home)
    holder.kill()
    assert waiting.wait(timeout=PATIENCE) == 0
    said = (fresh_home.folder / "passes.log").read_text()
    assert f"run {run[:8]}: its process {holder.pid} on " in said
    assert PUBLISHED.findall(said) == ["base_model"]
    assert taken_slots(fresh_home) == []


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
