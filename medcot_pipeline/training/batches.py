"""Micro-batches: how the rows of one optimiser step are cut so that they fit the GPU and waste little of it.

An optimiser step always holds the same rows, drawn by the trainer's shuffle; only how they are cut differs, and since
the loss is divided by the step's number of labels, every cut gives the same gradient up to rounding.

Belongs here: cutting rows, padding or packing them into tensors.
Does not: which rows a run trains on (rows.py), how large a micro-batch may be (planner.py).
"""

import dataclasses
from collections.abc import Sequence
from typing import Any, Literal

from medcot_pipeline.chat.encode import IGNORED_LABEL

Batching = Literal["rows", "tokens", "packed"]
Row = dict[str, list[int]]
"""`input_ids` and `labels` of one row, of equal length."""

PADDED_WIDTH_MULTIPLE = 32
PACKED_WIDTH_MULTIPLE = 64
MICRO_BATCH_COST = 300
"""What a micro-batch costs beside its tokens, in tokens: without it, cutting would always go on."""


@dataclasses.dataclass(frozen=True)
class MicroBatch:
    """Rows that pass the model together.

    Attributes:
        rows: the rows.
        width: tokens of one padded row, or of the whole packed line.
        packed: whether the rows stand in one line behind one another.
    """

    rows: list[Row]
    width: int
    packed: bool

    @property
    def padded_tokens(self) -> int:
        """Tokens that the model computes, padding included."""
        return self.width if self.packed else self.width * len(self.rows)

    @property
    def real_tokens(self) -> int:
        """Tokens of the rows."""
        return sum(length(row) for row in self.rows)


def length(row: Row) -> int:
    """Tokens of a row."""
    return len(row["input_ids"])


def labels(rows: Sequence[Row]) -> int:
    """Tokens that the loss counts: the first token of a row is predicted by nothing."""
    return sum(sum(label != IGNORED_LABEL for label in row["labels"][1:]) for row in rows)


def cut(rows: Sequence[Row], batching: Batching, *, rows_per_micro_batch: int, token_budget: int) -> list[MicroBatch]:
    """The micro-batches of one optimiser step.

    Args:
        rows: the step's rows, in the order drawn.
        batching: `rows` takes them in that order, a fixed number at a time; `tokens` takes rows of like length;
            `packed` puts whole rows behind one another.
        rows_per_micro_batch: for `rows`.
        token_budget: most padded tokens of a micro-batch, for the others; a single row may be longer.

    Returns:
        Micro-batches that hold every row once.
    """
    if batching == "rows":
        groups = [rows[start : start + rows_per_micro_batch] for start in range(0, len(rows), rows_per_micro_batch)]
        return [MicroBatch(list(group), max(map(length, group)), packed=False) for group in groups]
    if batching == "tokens":
        return _by_length(rows, token_budget)
    return _packed(rows, token_budget)


def round_up(tokens: int, multiple: int) -> int:
    """The next multiple: odd widths are multiplied at little more than half the speed of aligned ones on an H100."""
    return -(-tokens // multiple) * multiple


def _by_length(rows: Sequence[Row], token_budget: int) -> list[MicroBatch]:
    """Rows sorted by length and cut where the sum of padded tokens and of a fixed cost per cut is least."""
    ordered = sorted(rows, key=length, reverse=True)
    least = [0.0] + [float("inf")] * len(ordered)
    start_of = [0] * (len(ordered) + 1)
    for end in range(1, len(ordered) + 1):
        for start in range(end - 1, -1, -1):
            tokens = round_up(length(ordered[start]), PADDED_WIDTH_MULTIPLE) * (end - start)
            if tokens > token_budget and start < end - 1:
                break
            if least[start] + tokens + MICRO_BATCH_COST < least[end]:
                least[end], start_of[end] = least[start] + tokens + MICRO_BATCH_COST, start
    groups = []
    end = len(ordered)
    while end:
        groups.append(ordered[start_of[end] : end])
        end = start_of[end]
    groups.reverse()
    return [MicroBatch(group, round_up(length(group[0]), PADDED_WIDTH_MULTIPLE), packed=False) for group in groups]


def _packed(rows: Sequence[Row], token_budget: int) -> list[MicroBatch]:
    """Rows dealt, longest first, to the emptiest of the fewest lines that hold them."""
    ordered = sorted(rows, key=length, reverse=True)
    lines = max(1, -(-sum(map(length, rows)) // token_budget))
    while True:
        dealt: list[list[Row]] = [[] for _ in range(lines)]
        used = [0] * lines
        for row in ordered:
            emptiest = used.index(min(used))
            dealt[emptiest].append(row)
            used[emptiest] += length(row)
        fits = all(tokens <= token_budget or len(line) == 1 for tokens, line in zip(used, dealt, strict=True))
        if fits:
            filled = zip(dealt, used, strict=True)
            return [
                MicroBatch(line, round_up(size, PACKED_WIDTH_MULTIPLE), packed=True) for line, size in filled if line
            ]
        lines += 1


def tensors(batch: MicroBatch, pad_token_id: int, *, attention_mask: bool = False) -> dict[str, Any]:
    """A micro-batch as tensors.

    Padding stands on the right, where causal attention never sees it, so a mask is needed only by who wants to
    compute as padded recipes do.

    Returns:
        `input_ids` and `labels`, int64, of shape (rows, width), or (1, width) when packed. Packed batches also have
        `position_ids` (1, width), which begin anew with every row, and `lengths`, int32 (segments), whose last one may
        be the padding's.
    """
    import torch

    if batch.packed:
        return _packed_tensors(batch, pad_token_id)
    shape = (len(batch.rows), batch.width)
    result = {
        "input_ids": torch.full(shape, pad_token_id, dtype=torch.int64),
        "labels": torch.full(shape, IGNORED_LABEL, dtype=torch.int64),
    }
    mask = torch.zeros(shape, dtype=torch.int64)
    for number, row in enumerate(batch.rows):
        for name in result:
            result[name][number, : length(row)] = torch.tensor(row[name])
        mask[number, : length(row)] = 1
    return result | ({"attention_mask": mask} if attention_mask else {})


def _packed_tensors(batch: MicroBatch, pad_token_id: int) -> dict[str, Any]:
    import torch

    segments = [length(row) for row in batch.rows]
    padding = batch.width - sum(segments)
    ids = [token for row in batch.rows for token in row["input_ids"]]
    # No row predicts the first token of the next one.
    wanted = [label for row in batch.rows for label in (IGNORED_LABEL, *row["labels"][1:])]
    lengths = [*segments, padding] if padding else segments
    return {
        "input_ids": torch.tensor([ids + [pad_token_id] * padding]),
        "labels": torch.tensor([wanted + [IGNORED_LABEL] * padding]),
        "position_ids": torch.cat([torch.arange(size) for size in lengths]).unsqueeze(0),
        "lengths": torch.tensor(lengths, dtype=torch.int32),
    }
