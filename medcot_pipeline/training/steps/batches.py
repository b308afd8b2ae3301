"""Which rows make an optimiser step, and which of them pass the model together as micro-batches.

Rows are drawn in a new order every epoch, and a fixed number of them makes a step: which rows those are depends on
nothing but the seed, the epoch and that number. Each step is then cut into micro-batches by what the memory holds. The
loss of a step is divided by its number of labels, so every token weighs the same, however the step is cut.

Belongs here: drawing and cutting rows; padding or packing them into tensors.
Does not: which rows a run trains on (rows.py), how large a micro-batch may be (training/plan/planner.py).
"""

import bisect
import dataclasses
import heapq
import itertools
import random
from collections.abc import Iterator, Sequence
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
        return _packed(rows, self.widths or (round_up(self.token_budget, PACKED_WIDTH_MULTIPLE),))

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
    fullest = [
        [(len(lines), _fullest(lines)) for lines in itertools.islice(_even_lines(rows, widest), 4)] for rows in steps
    ]
    possible = sorted({round_up(tokens, PACKED_WIDTH_MULTIPLE) for step in fullest for _, tokens in step})

    def cost(widths: Sequence[int]) -> int:
        return sum(
            min(_cost(count, width) for count, tokens in step for width in widths if width >= tokens)
            for step in fullest
        )

    chosen = [widest]
    while len(chosen) < MOST_WIDTHS:
        best = min(possible, key=lambda width: cost([*chosen, width]))
        if cost([*chosen, best]) == cost(chosen):
            break
        chosen.append(best)
    return tuple(sorted(chosen))


def _cost(lines: int, width: int) -> int:
    """Of lines of one width, in tokens."""
    return lines * (width + MICRO_BATCH_COST)


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


def _packed(rows: Sequence[Row], widths: Sequence[int]) -> list[MicroBatch]:
    """Lines of one of the widths, at the least cost; a row that is longer than all widths has a line of its own."""
    alone = [row for row in rows if length(row) > widths[-1]]
    made = [MicroBatch([row], round_up(length(row), PACKED_WIDTH_MULTIPLE), packed=True) for row in alone]
    others = [row for row in rows if length(row) <= widths[-1]]
    options = []
    for lines in itertools.islice(_even_lines(others, widths[-1]), 2):  # one line more may do with a narrower width
        width = widths[bisect.bisect_left(widths, _fullest(lines))]
        options.append((_cost(len(lines), width), width, lines))
    _, width, lines = min(options, key=lambda option: option[0], default=(0, 0, []))
    return made + [MicroBatch(line, width, packed=True) for line in lines]


def _even_lines(rows: Sequence[Row], width: int) -> Iterator[list[list[Row]]]:
    """Rows in as few lines as hold them within a width, then in one more, and so on.

    The lines are filled evenly: each row, longest first, goes into the emptiest one (longest processing time first,
    Graham 1969).
    """
    longest_first = sorted(rows, key=length, reverse=True)
    least = -(-sum(map(length, rows)) // width)
    for count in range(least, len(rows) + 1) if rows else ():
        lines: list[list[Row]] = [[] for _ in range(count)]
        emptiest = [(0, number) for number in range(count)]
        for row in longest_first:
            tokens, number = emptiest[0]
            lines[number].append(row)
            heapq.heapreplace(emptiest, (tokens + length(row), number))
        if _fullest(lines) <= width:
            yield lines


def _fullest(lines: Sequence[Sequence[Row]]) -> int:
    """Tokens of the fullest line."""
    return max(sum(map(length, line)) for line in lines)


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
