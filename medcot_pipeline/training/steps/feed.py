"""Optimiser steps on their way through transformers' data loader, which takes a step's rows for one item.

Belongs here: the data set of steps, and the collator.
Does not belong here: which rows make a step (batches.py).
"""

import dataclasses

import torch

from medcot_pipeline.training.rows import TrainingRow
from medcot_pipeline.training.steps.batches import step_rows


class Steps(torch.utils.data.Dataset[list[TrainingRow]]):
    """The optimiser steps of the epoch that the trainer is in; one item is the rows of one step."""

    def __init__(self, rows: list[TrainingRow], rows_per_step: int, seed: int) -> None:
        """Args: rows: all training rows; rows_per_step: of an optimiser step; seed: of their order."""
        self._rows, self._rows_per_step, self._seed = rows, rows_per_step, seed
        self.set_epoch(0)

    def set_epoch(self, epoch: int) -> None:
        """Draw the epoch's order; called by the data loader."""
        self._steps = step_rows(self._rows, self._rows_per_step, self._seed, epoch)

    def __len__(self) -> int:
        return len(self._steps)

    def __getitem__(self, number: int) -> list[TrainingRow]:
        return self._steps[number]


@dataclasses.dataclass(frozen=True)
class Step:
    """One step's rows on their way through the data loader, which moves none of them to a device."""

    rows: list[TrainingRow]


def as_step(items: list[list[TrainingRow]]) -> dict[str, Step]:
    """The collator: a batch of the data loader is one step."""
    return {"step": Step(items[0])}
