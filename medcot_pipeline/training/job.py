"""The training run as a job of a child process.

Belongs here: what the job is given, and the call it makes.
Does not belong here: the run (qlora.py), the child process (compute/).
"""

from pathlib import Path
from typing import Any

import pydantic

from medcot_pipeline.artifacts import FileHashes
from medcot_pipeline.compute.together import ranks_here
from medcot_pipeline.models.base import open_base_model
from medcot_pipeline.settings import TrackingSettings, TrainingSettings
from medcot_pipeline.support.progress import Say
from medcot_pipeline.training import qlora
from medcot_pipeline.training.run import TrainingRun


class TrainAdapter(pydantic.BaseModel):
    """What one training run is given.

    Attributes:
        settings: hyper-parameters.
        tracking: Weights & Biases.
        max_row_tokens: longest row of the data set, tokens.
        base_model: artifact of the base model.
        hashes: file of the file hashes' memory, by which the base's files are verified.
        sft: `rows.parquet` of the SFT data set.
        splits: `rows.parquet` of the splits.
        out: folder of the adapter.
        work: folder of the checkpoints.
        wandb: folder of Weights & Biases.
        fingerprint: of the adapter.
    """

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
    """Train the adapter, on every rank alike; its summary. Raises as `qlora.train` and `open_base_model` do."""
    base = ranks_here().first_before_others(
        "base model verified", lambda: open_base_model(arguments.base_model, FileHashes(arguments.hashes))
    )
    run = TrainingRun(
        base=base,
        sft=arguments.sft,
        splits=arguments.splits,
        out=arguments.out,
        work=arguments.work,
        wandb=arguments.wandb,
        fingerprint=arguments.fingerprint,
    )
    return qlora.train(run, arguments.settings, arguments.max_row_tokens, arguments.tracking, say)
