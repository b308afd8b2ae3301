"""Which rows make an optimiser step, which rank computes them, and which of them pass the model together.

Rows are drawn in a new order every epoch, and a fixed number of them makes a step: which rows those are depends on
nothing but the seed, the epoch and that number. Each step is dealt to the ranks, and each rank cuts its share into
micro-batches by what its memory holds. The loss of a step is divided by its number of labels, so every token weighs the
same, however the step is dealt and cut.

Belongs here: drawing, dealing and cutting rows.
Does not belong here: which rows a run trains on (training/rows.py), packing them into lines (lines.py), tensors
(micro_batch.py), how large a micro-batch may be (training/plan/choose.py).
"""

import dataclasses
import heapq
import random
from collections.abc import Sequence
from typing import Literal, TypeVar

from medcot_pipeline.models.products import round_up
from medcot_pipeline.training.rows import TrainingRow
from medcot_pipeline.training.steps.lines import MICRO_BATCH_COST, packed_lines
from medcot_pipeline.training.steps.micro_batch import (
    PACKED_WIDTH_MULTIPLE,
    PADDED_WIDTH_MULTIPLE,
    MicroBatch,
)

Batching = Literal["rows", "tokens", "packed"]
Row = TypeVar("Row")


def step_rows(rows: Sequence[Row], rows_per_step: int, seed: int, epoch: int) -> list[list[Row]]:
    """The rows of every optimiser step of one epoch.

    Args:
        rows: all training rows, or their ids.
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


def dealt(rows: Sequence[TrainingRow], ranks: int) -> list[list[TrainingRow]]:
    """The rows of a step that each rank computes, so that all have about as many tokens.

    Each row, longest first, goes to the rank that has the fewest tokens so far (longest processing time first, Graham
    1969). No rank has more tokens than another by more than the longest row.

    Args:
        rows: of one step.
        ranks: how many.

    Returns:
        A list for each rank, in the order of `rows`, which together hold every row once; empty ones where there are
        fewer rows than ranks.
    """
    fewest = [(0, rank) for rank in range(ranks)]
    rank_of = [0] * len(rows)
    for number in sorted(range(len(rows)), key=lambda number: -len(rows[number])):
        tokens, rank_of[number] = fewest[0]
        heapq.heapreplace(fewest, (tokens + len(rows[number]), rank_of[number]))
    return [[row for row, rank in zip(rows, rank_of, strict=True) if rank == each] for each in range(ranks)]


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

    def cut(self, rows: Sequence[TrainingRow]) -> list[MicroBatch]:
        """Micro-batches that hold every row once."""
        if self.batching == "rows":
            each = self.rows_per_micro_batch
            groups = [list(rows[start : start + each]) for start in range(0, len(rows), each)]
            return [MicroBatch(group, max(map(len, group)), packed=False) for group in groups]
        if self.batching == "tokens":
            groups = _by_length(rows, self.token_budget)
            return [MicroBatch(group, round_up(len(group[0]), PADDED_WIDTH_MULTIPLE), packed=False) for group in groups]
        return packed_lines(rows, self.widths or (round_up(self.token_budget, PACKED_WIDTH_MULTIPLE),))

    def within(self, token_budget: int) -> "Cutting":
        """By tokens within this budget, also where rows were cut by number."""
        batching: Batching = "tokens" if self.batching == "rows" else self.batching
        widest = round_up(token_budget, PACKED_WIDTH_MULTIPLE)
        widths = (*(width for width in self.widths if width < widest), widest) if self.widths else ()
        return Cutting(batching, self.rows_per_micro_batch, token_budget, widths)


def _by_length(rows: Sequence[TrainingRow], token_budget: int) -> list[list[TrainingRow]]:
    """Rows sorted by length and cut where the sum of padded tokens and of a fixed cost per cut is least."""
    ordered = sorted(rows, key=len, reverse=True)
    least = [0.0] + [float("inf")] * len(ordered)
    start_of = [0] * (len(ordered) + 1)
    for end in range(1, len(ordered) + 1):
        for start in range(end - 1, -1, -1):
            tokens = round_up(len(ordered[start]), PADDED_WIDTH_MULTIPLE) * (end - start)
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
