"""The adapter's job in the child process.

Belongs here: its arguments, and calling the training.
Does not: the training itself (qlora.py).
"""

from pathlib import Path
from typing import Any

from pydantic import BaseModel

from medcot_pipeline.artifacts import FileHashes
from medcot_pipeline.models.base import open_base_model
from medcot_pipeline.settings import TrackingSettings, TrainingSettings
from medcot_pipeline.support.progress import Say
from medcot_pipeline.training import qlora


class TrainAdapter(BaseModel):
    """What a training run reads, where it works and writes."""

    settings: TrainingSettings
    tracking: TrackingSettings
    max_row_tokens: int
    base_model: Path
    hashes: Path
    sft: Path
    splits: Path
    out: Path
    work: Path
    wandb: Path
    fingerprint: str


def train(arguments: TrainAdapter, say: Say) -> dict[str, Any]:
    """Train the adapter."""
    run = qlora.TrainingRun(
        base=open_base_model(arguments.base_model, FileHashes(arguments.hashes)),
        sft=arguments.sft,
        splits=arguments.splits,
        out=arguments.out,
        work=arguments.work,
        wandb=arguments.wandb,
        fingerprint=arguments.fingerprint,
    )
    return qlora.train(run, arguments.settings, arguments.max_row_tokens, arguments.tracking, say)
