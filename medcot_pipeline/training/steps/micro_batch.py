"""Rows that pass the model together, and what the model is given of them.

Belongs here: a micro-batch, its labels, padding or packing it into tensors.
Does not belong here: which rows are in it (batches.py).
"""

import dataclasses
import itertools
from collections.abc import Sequence
from typing import Any

from medcot_pipeline.chat.encode import IGNORED_LABEL
from medcot_pipeline.training.rows import TrainingRow

PADDED_WIDTH_MULTIPLE = 32
PACKED_WIDTH_MULTIPLE = 64


@dataclasses.dataclass(frozen=True)
class MicroBatch:
    """Rows that pass the model together.

    Attributes:
        rows: the rows.
        width: tokens of one padded row, or of the whole packed line.
        packed: whether the rows stand in one line behind one another.
    """

    rows: list[TrainingRow]
    width: int
    packed: bool

    @property
    def padded_tokens(self) -> int:
        """Tokens that the model computes, padding included."""
        return self.width if self.packed else self.width * len(self.rows)

    @property
    def real_tokens(self) -> int:
        """Tokens of the rows."""
        return sum(map(len, self.rows))


def labels(rows: Sequence[TrainingRow]) -> int:
    """Tokens that the loss counts: the first token of a row is predicted by nothing."""
    return sum(sum(label != IGNORED_LABEL for label in row.labels[1:]) for row in rows)


def tensors(
    batch: MicroBatch, pad_token_id: int, *, attention_mask: bool = False, longest: int | None = None
) -> dict[str, Any]:
    """A micro-batch as tensors.

    Padding stands on the right, where causal attention never sees it, so a mask is needed only by who wants to
    compute as padded recipes do.

    Returns:
        `input_ids` and `labels`, int64, of shape (rows, width), or (1, width) when packed. Packed batches also have
        `position_ids` (1, width), which start again with every row, and `boundaries`, int32 (segments + 1), where rows
        begin and end; padding makes segments of its own, no longer than `longest`.
    """
    import torch

    if batch.packed:
        return _packed_tensors(batch, pad_token_id, longest or max(map(len, batch.rows)))
    shape = (len(batch.rows), batch.width)
    result = {
        "input_ids": torch.full(shape, pad_token_id, dtype=torch.int64),
        "labels": torch.full(shape, IGNORED_LABEL, dtype=torch.int64),
    }
    mask = torch.zeros(shape, dtype=torch.int64)
    for number, row in enumerate(batch.rows):
        result["input_ids"][number, : len(row)] = torch.tensor(row.input_ids)
        result["labels"][number, : len(row)] = torch.tensor(row.labels)
        mask[number, : len(row)] = 1
    return result | ({"attention_mask": mask} if attention_mask else {})


def _packed_tensors(batch: MicroBatch, pad_token_id: int, longest: int) -> dict[str, Any]:
    import torch

    segments = [len(row) for row in batch.rows]
    padding = batch.width - sum(segments)
    ids = [token for row in batch.rows for token in row.input_ids]
    # No row predicts the first token of the next one.
    wanted = [label for row in batch.rows for label in (IGNORED_LABEL, *row.labels[1:])]
    lengths = segments + [min(longest, padding - start) for start in range(0, padding, longest)]
    return {
        "input_ids": torch.tensor([ids + [pad_token_id] * padding]),
        "labels": torch.tensor([wanted + [IGNORED_LABEL] * padding]),
        "position_ids": torch.cat([torch.arange(size) for size in lengths]).unsqueeze(0),
        "boundaries": torch.tensor([0, *itertools.accumulate(lengths)], dtype=torch.int32),
    }
