"""Which rows make an optimiser step, and which of them pass the model together as micro-batches.

Rows are drawn in a new order every epoch, and a fixed number of them makes a step: which rows those are depends on
nothing but the seed, the epoch and that number. Each step is then cut into micro-batches by what the memory holds. The
loss of a step is divided by its number of labels, so every token weighs the same, however the step is cut.

Belongs here: drawing and cutting rows; padding or packing them into tensors.
Does not: which rows a run trains on (rows.py), how large a micro-batch may be (planner.py).
"""

import bisect
import dataclasses
import itertools
import math
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
MOST_WIDTHS = 6
"""Widths of packed lines in a run: more of them save less padding than recording each of them costs."""


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
    """How the rows of an optimiser step become micro-batches.

    Attributes:
        batching: `rows` takes rows as they come, a fixed number at a time; `tokens` takes rows of like length;
            `packed` puts whole rows behind one another in lines, which have one width within a step.
        rows_per_micro_batch: for `rows`.
        token_budget: most padded tokens of a micro-batch for `tokens`, of a line for `packed`; a single row may be
            longer.
        widths: of lines for `packed`, in ascending order; a step takes the one that costs it least. The last is the
            budget, which is also taken where there are none.
    """

    batching: Batching
    rows_per_micro_batch: int
    token_budget: int
    widths: tuple[int, ...] = ()

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
        longest = max(map(length, rows))
        budget = round_up(self.token_budget, PACKED_WIDTH_MULTIPLE)
        widths = [width for width in self.widths if width >= longest] or [budget]
        lines, width = min(((_packed(rows, width), width) for width in widths), key=lambda cut: _cost(*cut))
        # A row that is longer than the budget has a line of its own.
        needed = [round_up(sum(map(length, line)), PACKED_WIDTH_MULTIPLE) for line in lines]
        return [MicroBatch(line, max(width, least), packed=True) for line, least in zip(lines, needed, strict=True)]

    def within(self, token_budget: int) -> "Cutting":
        """By tokens within this budget, also where rows were cut by number."""
        batching: Batching = "tokens" if self.batching == "rows" else self.batching
        widest = round_up(token_budget, PACKED_WIDTH_MULTIPLE)
        widths = (*(width for width in self.widths if width < widest), widest) if self.widths else ()
        return Cutting(batching, self.rows_per_micro_batch, token_budget, widths)


def step_rows(rows: Sequence[Row], rows_per_step: int, seed: int, epoch: int) -> list[list[Row]]:
    """The rows of every optimiser step of one epoch.

    Args:
        rows: all training rows.
        rows_per_step: the last step may have fewer.
        seed: of the order.
        epoch: counts from 0; every epoch has an order of its own.

    Returns:
        ceil(rows / rows_per_step) steps, which hold every row once.
    """
    order = random.Random(f"{seed}-{epoch}").sample(range(len(rows)), len(rows))
    return [
        [rows[number] for number in order[start : start + rows_per_step]]
        for start in range(0, len(order), rows_per_step)
    ]


def few_widths(steps: Sequence[Sequence[Row]], token_budget: int) -> tuple[int, ...]:
    """At most `MOST_WIDTHS` widths for lines: the budget, and those below it that save these steps most.

    They are taken one by one, each time the one that saves most beside those that were taken before.

    Args:
        steps: rows of optimiser steps, as a sample of a run's.
        token_budget: most tokens of a line; no row is longer.
    """
    widest = round_up(token_budget, PACKED_WIDTH_MULTIPLE)
    widths = [widest, *range(round_up(widest // 2, PACKED_WIDTH_MULTIPLE), widest, PACKED_WIDTH_MULTIPLE)]
    costs = [
        [_cost(_packed(rows, width), width) if width >= max(map(length, rows)) else math.inf for width in widths]
        for rows in steps
    ]
    chosen = [0]
    for _ in range(MOST_WIDTHS - 1):
        least = [min(cost[number] for number in chosen) for cost in costs]
        saved = [
            sum(max(0.0, now - cost[number]) for now, cost in zip(least, costs, strict=True))
            for number in range(len(widths))
        ]
        if max(saved) == 0:
            break
        chosen.append(saved.index(max(saved)))
    return tuple(sorted(widths[number] for number in chosen))


def _cost(lines: Sequence[Sequence[Row]], width: int) -> int:
    """Of lines of one width, in tokens."""
    return len(lines) * (width + MICRO_BATCH_COST)


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
