"""How far writing is, in tokens, and when it ends: what is told while requests run.

Belongs here: what a step takes, the line.
Does not belong here: what is still to come (lengths.py), running requests (engine.py).
"""

import math
import time
from collections.abc import Callable, Sequence

from medcot_pipeline.inference.local.expected.lengths import Ahead, expected_ahead
from medcot_pipeline.inference.local.rows import Row
from medcot_pipeline.inference.requests import Continuation
from medcot_pipeline.support.progress import SECONDS_BETWEEN_LINES, Say, progress_line

LATELY = 60.0
"""Seconds after which what a step took counts a third: other work may come or go on the machine."""
LEAST_FIXED = 0.5
"""Share of a step, at least, that is taken not to depend on the tokens of the rows."""


class StepSeconds:
    """What a step takes: a part of its own, and a part for each token of keys and values that it reads.

    A straight line through what was measured, by least squares, so that the last rows, which run alone, are expected to
    be faster by what they read less.
    """

    def __init__(self) -> None:
        self._sums = [0.0] * 5

    def note(self, steps: int, seconds: float, read: float) -> None:
        """Args: steps: taken. seconds: that they took together. read: tokens that each read."""
        each, keep = seconds / steps, math.exp(-seconds / LATELY)
        now = (1.0, read, each, read * read, read * each)
        self._sums = [before * keep + steps * value for before, value in zip(self._sums, now, strict=True)]

    def of(self, ahead: Ahead) -> float | None:
        """Seconds of what is ahead; None before anything was measured."""
        weight, *sums = self._sums
        if not weight:
            return None
        read, each, squares, products = (value / weight for value in sums)
        spread = squares - read * read
        slope = (products - read * each) / spread if spread > 1e-9 * squares else 0.0
        slope = min(max(0.0, slope), (1.0 - LEAST_FIXED) * each / max(1.0, read))
        return (each - slope * read) * ahead.steps + slope * ahead.read


class TokenProgress:
    """Says how far all requests are, and when the last will end: by the steps that are left and what a step takes."""

    def __init__(
        self, what: str, say: Say, *, in_groups: bool = False, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Say nothing of work that is over sooner than a line is due.

        Args:
            what: the work's name.
            say: where a line goes.
            in_groups: whether a request keeps its place until the last of its group ends.
            clock: seconds.
        """
        self._what, self._say, self._in_groups, self._clock = what, say, in_groups, clock
        self._said = clock()
        self._noted: float | None = None
        self._step = StepSeconds()

    def __call__(
        self,
        steps: int,
        finished: Sequence[Continuation],
        running: Sequence[Row],
        waiting: Sequence[Row],
        *,
        at_once: int,
        read: int,
    ) -> None:
        """Note that steps were taken. The clock starts with the first, so that compiling before it is no speed.

        Args:
            steps: since the last call.
            finished: what the finished requests got.
            running: of the others those that have a place.
            waiting: those that have none yet, in their order.
            at_once: requests that these steps had places for.
            read: tokens of keys and values that each of them read.
        """
        now = self._clock()
        if steps and self._noted is not None:
            self._step.note(steps, now - self._noted, read)
        self._noted = now
        if now - self._said < SECONDS_BETWEEN_LINES:
            return
        self._said = now
        got = [(len(each.token_ids), each.finished) for each in finished]
        ahead = expected_ahead(got, running, waiting, max(1, at_once), in_groups=self._in_groups)
        done = sum(tokens for tokens, _ in got) + sum(len(row.written) for row in (*running, *waiting))
        detail = f"tokens, {len(finished):,} finished, {len(running):,} running"
        self._say(progress_line(self._what, done, round(done + ahead.tokens), self._step.of(ahead), detail))
