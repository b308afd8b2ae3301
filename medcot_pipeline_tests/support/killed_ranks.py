"""The training job on ranks, one of which kills itself or another at a chosen moment of a chosen step.

Belongs here: the job, what it needs beside the code, the moments.
Does not belong here: what must hold afterwards (faults/test_killed_ranks.py).
"""

import os
import random
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

import polars as pl

from medcot_pipeline.compute.together import ranks_here
from medcot_pipeline.models.base import prepare_base_model
from medcot_pipeline.settings import BaseModelSettings, TrackingSettings, TrainingSettings, load_settings
from medcot_pipeline.support.progress import Say
from medcot_pipeline.training import job
from medcot_pipeline_tests.support.forward_passes import before_pass

STEPS = 5
ROWS_PER_STEP = 4
SETTINGS = load_settings("tiny").training.model_copy(
    update={"per_device_train_batch_size": ROWS_PER_STEP, "checkpoint_steps": 1, "validation_rows": 3}
)


class KilledTraining(job.TrainAdapter):
    """A training in which a rank is killed.

    Attributes:
        moment: `forward`, `sum` or `checkpoint`; empty: none is killed.
        victim: which rank.
        step: in which optimiser step of this process's part of the run, from 1.
    """

    moment: str = ""
    victim: int = 0
    step: int = 0


def train(arguments: KilledTraining, say: Say) -> dict[str, Any]:
    """Train, and be killed."""
    processes = ranks_here().gathered("processes", os.getpid())
    if arguments.moment == "checkpoint" and ranks_here().first:
        _kill_when_a_file_is_written(processes[arguments.victim], arguments.step)
    elif arguments.moment:
        _kill_in_a_step(arguments.moment, arguments.victim, arguments.step)
    return job.train(arguments, say)


def make_inputs(folder: Path, hidden: int = 32, layers: int = 1) -> None:
    """Write a base model of some size, and rows to train and validate on."""
    base = folder / "base"
    base.mkdir(parents=True)
    tiny = BaseModelSettings(kind="tiny_random", tiny_hidden=hidden, tiny_layers=layers)
    prepare_base_model(tiny, base, folder / "cache", folder, lambda line: None)
    draw = random.Random(3)

    def rows(count: int, split: str) -> list[dict[str, str]]:
        return [
            {
                "row_id": f"{split}-{number}",
                "split": split,
                "question": f"What of case {number}?",
                "reasoning": " ".join(
                    draw.choice(("pain", "fever", "cough", "rest")) for _ in range(draw.randint(5, 60))
                ),
                "answer": draw.choice(("Rest and fluids.", "Call now.")),
            }
            for number in range(count)
        ]

    pl.DataFrame(rows(STEPS * ROWS_PER_STEP, "train")).write_parquet(folder / "sft.parquet")
    pl.DataFrame(rows(3, "validation")).write_parquet(folder / "splits.parquet")


def arguments_of(
    inputs: Path, out: Path, work: Path, settings: TrainingSettings = SETTINGS, **staged: Any
) -> KilledTraining:
    """What a training is given."""
    return KilledTraining(
        settings=settings,
        tracking=TrackingSettings(wandb_mode="disabled"),
        max_row_tokens=2048,
        base_model=inputs / "base",
        hashes=out.parent / "hashes.sqlite",
        sft=inputs / "sft.parquet",
        splits=inputs / "splits.parquet",
        out=out,
        work=work,
        wandb=out.parent / "wandb",
        fingerprint="f" * 64,
        **staged,
    )


def _kill_in_a_step(moment: str, victim: int, step: int) -> None:
    """Kill a rank before its forward pass, or while it waits in the sum for the others, which come later."""

    def kill() -> None:
        if ranks_here().rank != victim:
            time.sleep(4.0 if moment == "sum" else 0.0)
        elif moment == "sum":
            threading.Timer(2.0, os.kill, (os.getpid(), signal.SIGKILL)).start()
        else:
            os.kill(os.getpid(), signal.SIGKILL)

    before_pass(lambda number: number == step, kill)


def _kill_when_a_file_is_written(process: int, step: int) -> None:
    """Kill a process when the trainer's state is written: a checkpoint has its weights by then, and no mark yet."""
    count = 0

    def hook(event: str, given: tuple[Any, ...]) -> None:
        nonlocal count
        if event != "open" or not str(given[0]).endswith("trainer_state.json") or "w" not in str(given[1]):
            return
        count += 1
        if count == step:
            os.kill(process, signal.SIGKILL)

    sys.addaudithook(hook)
