"""A training run: where it reads, works and writes.

Belongs here: the folders and the base of one run.
Does not belong here: running it (qlora.py).
"""

import dataclasses
from pathlib import Path

from medcot_pipeline.models.base import BaseModel


@dataclasses.dataclass(frozen=True)
class TrainingRun:
    """Where a run reads, works and writes.

    Attributes:
        base: the base model.
        sft: `rows.parquet` of the SFT data set (row_id, question, reasoning, answer).
        splits: `rows.parquet` of the splits, for the validation rows.
        out: folder of the adapter.
        work: folder of the checkpoints, of this fingerprint alone; it outlives a killed run.
        wandb: folder of Weights & Biases.
        fingerprint: of the adapter; checkpoints of another are refused.
    """

    base: BaseModel
    sft: Path
    splits: Path
    out: Path
    work: Path
    wandb: Path
    fingerprint: str
