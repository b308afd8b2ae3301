"""Packed lines: whole rows behind one another, in lines that have one of a few widths.

Belongs here: filling lines evenly, the widths that a run uses.
Does not belong here: other ways to cut a step (batches.py), tensors (micro_batch.py).
"""

import bisect
import heapq
import itertools
from collections.abc import Iterator, Sequence

from medcot_pipeline.models.products import round_up
from medcot_pipeline.training.rows import TrainingRow
from medcot_pipeline.training.steps.micro_batch import PACKED_WIDTH_MULTIPLE, MicroBatch

MICRO_BATCH_COST = 300
"""What a micro-batch costs beside its tokens, in tokens: without it, cutting would always go on."""
MOST_WIDTHS = 6
"""Widths of packed lines in a run: more of them save less padding than recording each of them costs."""


def few_widths(steps: Sequence[Sequence[TrainingRow]], token_budget: int) -> tuple[int, ...]:
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


def packed_lines(rows: Sequence[TrainingRow], widths: Sequence[int]) -> list[MicroBatch]:
    """Lines of one of the widths, at the least cost; a row that is longer than all widths has a line of its own."""
    alone = [row for row in rows if len(row) > widths[-1]]
    made = [MicroBatch([row], round_up(len(row), PACKED_WIDTH_MULTIPLE), packed=True) for row in alone]
    others = [row for row in rows if len(row) <= widths[-1]]
    options = []
    for lines in itertools.islice(_even_lines(others, widths[-1]), 2):  # one line more may do with a narrower width
        width = widths[bisect.bisect_left(widths, _fullest(lines))]
        options.append((_cost(len(lines), width), width, lines))
    _, width, lines = min(options, key=lambda option: option[0], default=(0, 0, []))
    return made + [MicroBatch(line, width, packed=True) for line in lines]


def _even_lines(rows: Sequence[TrainingRow], width: int) -> Iterator[list[list[TrainingRow]]]:
    """Rows in as few lines as hold them within a width, then in one more, and so on.

    The lines are filled evenly: each row, longest first, goes into the emptiest one (longest processing time first,
    Graham 1969).
    """
    longest_first = sorted(rows, key=len, reverse=True)
    least = -(-sum(map(len, rows)) // width)
    for count in range(least, len(rows) + 1) if rows else ():
        lines: list[list[TrainingRow]] = [[] for _ in range(count)]
        emptiest = [(0, number) for number in range(count)]
        for row in longest_first:
            tokens, number = emptiest[0]
            lines[number].append(row)
            heapq.heapreplace(emptiest, (tokens + len(row), number))
        if _fullest(lines) <= width:
            yield lines


def _fullest(lines: Sequence[Sequence[TrainingRow]]) -> int:
    """Tokens of the fullest line."""
    return max(sum(map(len, line)) for line in lines)
