"""Micro-batches: which rows pass the model together, and which micro-batches make an optimiser step.

Rows are drawn in a new order every epoch. A fixed number of them makes a step of the reference recipe; under a token
budget, rows of several steps are cut into micro-batches together, which fill the budget better, and the micro-batches
are dealt to the steps in random order: a step then has that number of rows in expectation. The loss of a step is
divided by its number of labels, so every token weighs the same.

Belongs here: drawing, cutting and dealing rows; padding or packing them into tensors.
Does not: which rows a run trains on (rows.py), how large a micro-batch may be (planner.py).
"""

import bisect
import dataclasses
import itertools
import random
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
POOL_STEPS = 16
"""Optimiser steps whose rows are cut together."""


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


@dataclasses.dataclass(frozen=True)
class Cutting:
    """How rows become micro-batches.

    Attributes:
        batching: `rows` takes rows as they come, a fixed number at a time; `tokens` takes rows of like length;
            `packed` puts whole rows behind one another in lines of one width.
        rows_per_micro_batch: for `rows`.
        token_budget: most padded tokens of a micro-batch for `tokens`, width of a line for `packed`; a single row may
            be longer.
    """

    batching: Batching
    rows_per_micro_batch: int
    token_budget: int

    def cut(self, rows: Sequence[Row]) -> list[MicroBatch]:
        """Micro-batches that hold every row once."""
        if self.batching == "rows":
            each = self.rows_per_micro_batch
            groups = [list(rows[start : start + each]) for start in range(0, len(rows), each)]
            return [MicroBatch(group, max(map(length, group)), packed=False) for group in groups]
        if self.batching == "tokens":
            groups = _by_length(rows, self.token_budget)
            return [
                MicroBatch(group, round_up(length(group[0]), PADDED_WIDTH_MULTIPLE), packed=False) for group in groups
            ]
        lines = _packed(rows, self.token_budget)
        # One width for all: what was compiled, tuned or recorded for it serves the whole run.
        widths = [round_up(max(self.token_budget, sum(map(length, line))), PACKED_WIDTH_MULTIPLE) for line in lines]
        return [MicroBatch(line, width, packed=True) for line, width in zip(lines, widths, strict=True)]


def optimizer_steps(
    rows: Sequence[Row], rows_per_step: int, cutting: Cutting, seed: int, epoch: int
) -> list[list[MicroBatch]]:
    """The optimiser steps of one epoch, each a list of micro-batches.

    Args:
        rows: all training rows.
        rows_per_step: of a step; in expectation where micro-batches are cut by tokens.
        cutting: how rows are cut.
        seed: of the order.
        epoch: counts from 0; every epoch has an order of its own.

    Returns:
        ceil(rows / rows_per_step) steps, which hold every row once.
    """
    draw = random.Random(f"{seed}-{epoch}")
    order = [rows[number] for number in draw.sample(range(len(rows)), len(rows))]
    count = -(-len(rows) // rows_per_step)
    tokens_per_step = sum(map(length, rows)) / count
    # Few micro-batches in a step cannot be dealt evenly: such steps are cut each by itself.
    together = POOL_STEPS if cutting.batching != "rows" and tokens_per_step > 4 * cutting.token_budget else 1
    pool = together * rows_per_step
    cuts = [cutting.cut(order[start : start + pool]) for start in range(0, len(order), pool)]
    if together == 1:
        return cuts
    batches = [batch for pieces in cuts for batch in pieces]
    draw.shuffle(batches)
    edges = [number * len(batches) // count for number in range(count + 1)]
    return [batches[start:end] for start, end in itertools.pairwise(edges)]


def round_up(tokens: int, multiple: int) -> int:
    """The next multiple: odd widths are multiplied at little more than half the speed of aligned ones on an H100."""
    return -(-tokens // multiple) * multiple


def _by_length(rows: Sequence[Row], token_budget: int) -> list[list[Row]]:
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
    return groups[::-1]


def _packed(rows: Sequence[Row], width: int) -> list[list[Row]]:
    """Rows put, longest first, into the fullest line that still holds them (best fit decreasing, Johnson 1973)."""
    lines: list[list[Row]] = []
    free: list[tuple[int, int]] = []  # room and number of every line, sorted
    for row in sorted(rows, key=length, reverse=True):
        place = bisect.bisect_left(free, (length(row), 0))
        if place == len(free):
            lines.append([row])
            room, number = width - length(row), len(lines) - 1
        else:
            room, number = free.pop(place)
            lines[number].append(row)
            room -= length(row)
        bisect.insort(free, (room, number))
    return lines


def tensors(
    batch: MicroBatch, pad_token_id: int, *, attention_mask: bool = False, longest: int | None = None
) -> dict[str, Any]:
    """A micro-batch as tensors.

    Padding stands on the right, where causal attention never sees it, so a mask is needed only by who wants to
    compute as padded recipes do.

    Returns:
        `input_ids` and `labels`, int64, of shape (rows, width), or (1, width) when packed. Packed batches also have
        `position_ids` (1, width), which begin anew with every row, and `boundaries`, int32 (segments + 1), where rows
        begin and end; padding makes segments of its own, no longer than `longest`.
    """
    import torch

    if batch.packed:
        return _packed_tensors(batch, pad_token_id, longest or max(map(length, batch.rows)))
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


def _packed_tensors(batch: MicroBatch, pad_token_id: int, longest: int) -> dict[str, Any]:
    import torch

    segments = [length(row) for row in batch.rows]
    padding = batch.width - sum(segments)
    ids = [token for row in batch.rows for token in row["input_ids"]]
    # No row predicts the first token of the next one.
    wanted = [label for row in batch.rows for label in (IGNORED_LABEL, *row["labels"][1:])]
    lengths = segments + [min(longest, padding - start) for start in range(0, padding, longest)]
    return {
        "input_ids": torch.tensor([ids + [pad_token_id] * padding]),
        "labels": torch.tensor([wanted + [IGNORED_LABEL] * padding]),
        "position_ids": torch.cat([torch.arange(size) for size in lengths]).unsqueeze(0),
        "boundaries": torch.tensor([0, *itertools.accumulate(lengths)], dtype=torch.int32),
    }
