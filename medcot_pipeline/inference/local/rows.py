"""Requests that run, wait or are finished, what the device knows of each, and how much is still to be written.

Belongs here: the order, a request's tokens so far, the columns of its line, the estimate of what is left.
Does not: moving lines to the device (engine.py).
"""

import dataclasses
import struct
import time
from collections.abc import Iterable, Sequence
from typing import Any

from medcot_pipeline.inference.requests import Continuation, Request
from medcot_pipeline.support.progress import Progress, Say

SECONDS_BETWEEN_ESTIMATES = 1.0

TOKEN, POSITION, STEP, SEED, TEMPERATURE, TOP_P, TABLE = range(7)
"""Columns of a row's line of 32-bit integers, which one copy brings to the device with all others: the token that goes
in next, its position, the number of the token to be chosen among those written, the request's seed, the bits of two
float32, and from `TABLE` on the blocks of the cache that the row has."""


def floats(column: Any) -> Any:
    """Bits as the float32 numbers that they are."""
    import torch

    return column.view(torch.float32)


@dataclasses.dataclass
class Row:
    """A request that is being written.

    Attributes:
        request: what was asked.
        written: tokens so far.
        blocks: of the cache, while it runs.
        ended: whether a token ended it.
    """

    request: Request
    written: list[int] = dataclasses.field(default_factory=list)
    blocks: list[int] = dataclasses.field(default_factory=list)
    ended: bool = False

    @property
    def ids(self) -> list[int]:
        """Prompt and what was written."""
        return [*self.request.prompt_ids, *self.written]

    @property
    def last(self) -> int:
        """The token that goes in next."""
        return self.written[-1] if self.written else self.request.prompt_ids[-1]

    @property
    def position(self) -> int:
        """Of the last token written, whose keys are not in the cache yet."""
        return len(self.request.prompt_ids) + len(self.written) - 1

    @property
    def over(self) -> bool:
        """Whether nothing more is written."""
        return self.ended or len(self.written) >= self.request.max_tokens

    def add(self, token: int, *, ended: bool) -> None:
        """Note a token that was chosen; what is chosen after the end is dropped."""
        if self.over:
            return
        self.ended = ended
        if not ended:
            self.written.append(token)

    def result(self) -> Continuation:
        """What came of it."""
        return Continuation(self.request.id, tuple(self.written), self.ended)


def line_of(row: Row) -> list[int]:
    """A row's line up to `TABLE`."""
    request, sampling = row.request, row.request.sampling
    temperature, top_p, seed = struct.unpack(
        "<3i", struct.pack("<2fI", sampling.temperature, sampling.top_p, request.seed)
    )
    return [row.last, row.position, len(row.written), seed, temperature, top_p]


def fill_lines(lines: Any, rows: Sequence[Row]) -> None:
    """Write the lines of some rows, the first ones of a [rows, columns] array; the rest of a line is nobody's block."""
    lines[: len(rows)] = 0
    for line, row in zip(lines, rows, strict=False):
        line[:TABLE] = line_of(row)
        line[TABLE : TABLE + len(row.blocks)] = row.blocks


def longest_first(requests: Iterable[Request]) -> list[Request]:
    """In the order in which they start: what may take longest first, so that it does not run alone at the end."""
    return sorted(requests, key=lambda request: (-request.max_tokens, -len(request.prompt_ids)))


def expected_total(finished: Sequence[int], running: Sequence[tuple[int, int]], waiting: Sequence[int]) -> float:
    """Tokens of all requests, expected from those so far; exact at the end.

    How long a request gets follows from the product-limit estimate (Kaplan and Meier 1958): a running one is known to
    be longer than it is, which a mean over the finished ones alone would leave out.

    Args:
        finished: tokens of the finished ones.
        running: tokens so far and at most of the running ones.
        waiting: most tokens of the waiting ones.
    """
    ends = sorted([(length, 0) for length in finished] + [(now, 1) for now, _ in running])
    steps: list[tuple[int, float]] = [(0, 1.0)]  # from this length on, this share goes on
    for number, (length, censored) in enumerate(ends):
        if not censored:
            steps.append((length, steps[-1][1] * (1 - 1 / (len(ends) - number))))

    def expected(now: int, most: int) -> float:
        share = next(share for length, share in reversed(steps) if length <= now)
        if share <= 0.0:
            return float(most)
        bounds = [(max(length, now), value) for length, value in steps]
        total = float(now)
        for (start, value), (end, _) in zip(bounds, [*bounds[1:], (most, 0.0)], strict=True):
            total += max(0, min(end, most) - start) * value / share
        return total

    return sum(finished) + sum(expected(*each) for each in running) + sum(expected(0, most) for most in waiting)


class TokenProgress:
    """Progress in tokens, against the total that is expected by now."""

    def __init__(self, what: str, say: Say) -> None:
        """Args: what: the work's name; say: where a line goes."""
        self._progress, self._last = Progress(what, say), float("-inf")

    def __call__(self, finished: Sequence[Continuation], running: Sequence[Row], waiting: Sequence[Row]) -> None:
        """Note how far all requests are."""
        now = time.monotonic()
        if now - self._last < SECONDS_BETWEEN_ESTIMATES:
            return
        self._last = now
        lengths = [len(each.token_ids) for each in finished]
        so_far = [(len(row.written), row.request.max_tokens) for row in running]
        total = expected_total(lengths, so_far, [row.request.max_tokens for row in waiting])
        done = sum(lengths) + sum(tokens for tokens, _ in so_far)
        self._progress(done, round(total), f"tokens, {len(finished):,} finished, {len(running):,} running")
