"""The trainer killed at random moments, and a disk that fills up under it.

FAULTS_SEED chooses the moments; `make faults` prints the one it took.
"""

import os
import random
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from medcot_pipeline.settings import TrackingSettings, TrainingSettings, load_settings
from medcot_pipeline.support.json_files import read_json
from medcot_pipeline.training import job
from medcot_pipeline.training.checkpoints import MARK
from medcot_pipeline_tests.support.child_process import finish, said, start_child
from medcot_pipeline_tests.support.home import Home

FINGERPRINT = "f" * 64
STEPS = 6
MEAN_PAUSE = 0.5
"""Seconds between what a moment waits for and the kill, on average: writing a checkpoint takes less."""
SETTINGS = load_settings("tiny").training.model_copy(
    update={"max_train_tokens": 4200, "per_device_train_batch_size": 2, "checkpoint_steps": 1, "validation_rows": 2}
)


def start_training(home: Home, out: Path, work: Path, settings: TrainingSettings = SETTINGS) -> "subprocess.Popen[str]":
    """The child process of the asset qlora_adapter; every optimiser step ends with a checkpoint."""
    arguments = job.TrainAdapter(
        settings=settings,
        tracking=TrackingSettings(wandb_mode="disabled"),
        max_row_tokens=2048,
        base_model=home.current("base_model"),
        hashes=out / "hashes" / "hashes.sqlite",
        sft=home.current("sft_dataset") / "rows.parquet",
        splits=home.current("corpus_splits") / "rows.parquet",
        out=out,
        work=work,
        wandb=out / "wandb",
        fingerprint=FINGERPRINT,
    )
    # One thread: on a crowded machine the first step of a process sometimes came out other by a rounding with two.
    return start_child(home, out, job.train, arguments, OMP_NUM_THREADS="1")


def wait_until(child: "subprocess.Popen[str]", reached: Callable[[], bool]) -> None:
    """Wait until something is reached, or the child has ended."""
    deadline = time.monotonic() + 600
    while not reached() and child.poll() is None:
        assert time.monotonic() < deadline, "it was never reached"
        time.sleep(0.01)


def published(out: Path) -> dict[str, bytes]:
    """What identifies an adapter: every file but those aside."""
    names = [path.name for path in out.iterdir() if path.is_file() and path.name != "messages"]
    return {name: (out / name).read_bytes() for name in sorted(names)}


@pytest.fixture(scope="module")
def home(chain: Home, tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A copy of the chain: a child process takes the lock of its data folder."""
    return chain.copy_to(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def undisturbed(home: Home, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files of an uninterrupted run."""
    folder = tmp_path_factory.mktemp("undisturbed")
    assert finish(start_training(home, folder / "out", folder / "work"), folder / "out")["optimizer_steps"] == STEPS
    return published(folder / "out")


def random_moment(draw: random.Random, out: Path, work: Path, before: int) -> Callable[[], bool]:
    """Reached between the plan and the end of the run, after one of its checkpoints is begun; `before` are made."""
    step = draw.randint(before, STEPS - 1)
    if step == before:
        return lambda: "micro-batches of" in said(out)
    return (work / f"checkpoint-{step}").is_dir


@pytest.mark.parametrize("kills", [2, pytest.param(20, marks=pytest.mark.faults)])
def test_a_trainer_killed_at_random_moments_ends_with_the_adapter_of_an_uninterrupted_run(
    home: Home, tmp_path: Path, undisturbed: dict[str, bytes], kills: int
) -> None:
    seed = os.environ.get("FAULTS_SEED", "1")
    draw = random.Random(f"trainer {seed}")
    done = finished = attempts = 0
    while done < kills or attempts:
        to_the_end = done == kills or (attempts > 0 and draw.random() < 0.5)
        work, out = tmp_path / f"work-{finished}", tmp_path / f"out-{finished}-{attempts}"
        before = max((int(path.name.rsplit("-", 1)[1]) for path in work.glob("checkpoint-*")), default=0)
        child = start_training(home, out, work)
        attempts += 1
        if not to_the_end and before < STEPS:
            wait_until(child, random_moment(draw, out, work, before))
            time.sleep(draw.expovariate(1 / MEAN_PAUSE))
            child.kill()
        if child.wait() == -signal.SIGKILL:
            done += 1
            there = sorted(path.name for path in work.glob("checkpoint-*"))
            print(f"seed {seed}: kill {done} of {kills} in attempt {attempts} of run {finished}, which left {there}")
            continue
        finish(child, out)
        assert published(out) == undisturbed, f"seed {seed}: run {finished} differs after {attempts} attempts"
        finished, attempts = finished + 1, 0


def test_a_killed_run_that_goes_on_with_another_budget_trains_the_same_rows_in_every_step(
    home: Home, tmp_path: Path
) -> None:
    of_eight = {"max_train_tokens": 12_000, "per_device_train_batch_size": 8, "early_stopping_checkpoints": None}
    narrow, wide = (SETTINGS.model_copy(update=of_eight | {"micro_batch_tokens": tokens}) for tokens in (512, 700))
    finish(start_training(home, tmp_path / "whole", tmp_path / "whole-work", wide), tmp_path / "whole")
    work = tmp_path / "work"
    child = start_training(home, tmp_path / "killed", work, narrow)
    wait_until(child, (work / "checkpoint-2" / MARK).is_file)
    child.kill()
    assert child.wait() == -signal.SIGKILL
    resumed = finish(start_training(home, tmp_path / "resumed", work, wide), tmp_path / "resumed")
    assert resumed["resumed_from"] in {"checkpoint-2", "checkpoint-3"}
    assert "micro_batch_tokens was 512, is 700" in said(tmp_path / "resumed")
    losses = {name: read_json(tmp_path / name / "curves.json")["loss"] for name in ("whole", "resumed")}
    assert len(losses["whole"]) >= 3
    assert [loss for _, loss in losses["resumed"]] == pytest.approx([loss for _, loss in losses["whole"]], rel=1e-5)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own with 40 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=40m", "tmpfs", str(folder)], capture_output=True)
    if mounted.returncode != 0:
        pytest.skip("only root may mount a small disk")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_disk_that_is_full_at_a_checkpoint_is_named_and_training_resumes_once_there_is_space(
    home: Home, tmp_path: Path, small_disk: Path, undisturbed: dict[str, bytes]
) -> None:
    (small_disk / "other").write_bytes(bytes(12_000_000))
    failing = start_training(home, tmp_path / "full", small_disk / "work")
    failing.communicate(timeout=600)
    assert "No space left on device" in said(tmp_path / "full")
    assert "Free some space and run `medcot sync` again." in said(tmp_path / "full")
    assert not (tmp_path / "full" / "adapter_model.safetensors").exists()
    subprocess.run(["mount", "-o", "remount,size=400m", str(small_disk)], check=True)
    finish(start_training(home, tmp_path / "resumed", small_disk / "work"), tmp_path / "resumed")
    assert "resuming from checkpoint-" in said(tmp_path / "resumed")
    assert published(tmp_path / "resumed") == undisturbed
