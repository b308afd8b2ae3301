"""How long requests get, and what is therefore still to come: tokens, steps, and what the steps read.

Belongs here: the estimate of lengths, and running through the requests with them.
Does not belong here: what a step takes (progress.py, plan.py).
"""

import heapq
import math
from collections.abc import Sequence
from statistics import NormalDist
from typing import NamedTuple

from medcot_pipeline.inference.local.rows import Row

TYPICAL_TOKENS, TYPICAL_SPREAD = 700, 0.3
"""Median of reasoning answers and the standard deviation of their logarithms: that of reasoning and response together
in 465 rows of the Chinese medical-o1 data, the median higher, since models write more than their training data."""
TYPICAL_WEIGHT = 4.0
"""Finished requests that typical lengths count as: they decide until some are finished."""
ENDLESS, ENDLESS_WEIGHT = 0.01, 100.0
"""Share of the requests that run to the most that they may write, in loops; and the requests that it counts as."""
LEAST_SPREAD = 0.05
FAR, FARTHEST = 8.0, 1e-15
"""Standard deviations, and the share beyond them, from which on a normal distribution is computed otherwise."""
FIT_ROUNDS = 20
DRAWS = 8
GOLDEN = 0.6180339887498949
"""Multiples of the golden ratio, modulo 1, are spread evenly over 0 to 1 however many there are (Kronecker)."""


class Ahead(NamedTuple):
    """What is expected still to be written.

    Attributes:
        tokens: of all requests.
        steps: decoding steps that they take.
        read: tokens of keys and values that these steps read, over all steps and rows.
    """

    tokens: float
    steps: float
    read: float


class AnswerLengths:
    """How long requests get: log-normal, but for a share that never ends by itself (Boag 1949).

    A running request is known to be longer than it is, which the finished ones alone would leave out: they are the
    short ones. Both count, by expectation and maximisation (Dempster, Laird and Rubin 1977), and typical lengths
    beside them.
    """

    def __init__(self, ended: Sequence[int], longer: Sequence[int]) -> None:
        """Args: ended: tokens of those that ended by themselves. longer: tokens that others have reached, at least."""
        mean, spread, endless = math.log(TYPICAL_TOKENS), TYPICAL_SPREAD, ENDLESS
        known, reached = [math.log(tokens + 1) for tokens in ended], [math.log(tokens + 1) for tokens in longer]
        weight = TYPICAL_WEIGHT + len(known)
        first = TYPICAL_WEIGHT * mean + sum(known)
        second = TYPICAL_WEIGHT * (mean**2 + spread**2) + sum(each**2 for each in known)
        for _ in range(FIT_ROUNDS if reached else 1):
            weights, firsts, seconds = weight, first, second
            for at in reached:
                ends = 1.0 - _endless(endless, (at - mean) / spread)
                beyond = spread * _hazard((at - mean) / spread)
                weights += ends
                firsts += ends * (mean + beyond)
                seconds += ends * (mean**2 + spread**2 + beyond * (mean + at))
            endless = (ENDLESS * ENDLESS_WEIGHT + weight + len(reached) - weights) / (
                ENDLESS_WEIGHT + weight + len(reached)
            )
            mean = firsts / weights
            spread = math.sqrt(max(LEAST_SPREAD**2, seconds / weights - mean**2))
        self._mean, self._spread, self._share = mean, spread, endless

    def at_share(self, share: float, now: int, most: int) -> int:
        """The tokens that this share, in (0, 1), of the requests longer than `now` do not exceed; `most` at most."""
        reached = (math.log(now + 1) - self._mean) / self._spread
        endless = _endless(self._share, reached)
        if 1.0 - share <= endless:
            return most
        beyond = _beyond(reached) * (1.0 - share - endless) / (1.0 - endless)
        if not FARTHEST < beyond < 1.0:
            return min(most, now + 1)
        length = math.exp(min(50.0, self._mean - self._spread * NormalDist().inv_cdf(beyond)))
        return min(most, max(now + 1, round(length)))


def _beyond(z: float) -> float:
    """Share of a standard normal distribution beyond z."""
    return math.erfc(z / math.sqrt(2.0)) / 2.0


def _hazard(z: float) -> float:
    """Density over the share beyond."""
    if z > FAR:
        return z + 1.0 / z
    return math.exp(-(z**2) / 2.0) / math.sqrt(2.0 * math.pi) / _beyond(z)


def _endless(share: float, z: float) -> float:
    """The probability that a request which has come so far never ends."""
    return share / (share + (1.0 - share) * _beyond(z))


def expected_ahead(
    finished: Sequence[tuple[int, bool]],
    running: Sequence[Row],
    waiting: Sequence[Row],
    at_once: int,
    *,
    in_groups: bool = False,
) -> Ahead:
    """What is expected still to be written.

    Every request gets a length of its own out of the estimate, spread evenly over it, so that the longest, which run
    alone at the end, count as they should; the mean of some such draws.

    Args:
        finished: tokens of the finished requests, and whether they ended by themselves.
        running: those that have a place.
        waiting: those that wait, in their order.
        at_once: requests that run side by side.
        in_groups: whether a request keeps its place until the last of its group ends.
    """
    rows = [*running, *waiting]
    so_far = [len(row.written) for row in rows]
    cut = [tokens for tokens, ended in finished if not ended]
    lengths = AnswerLengths([tokens for tokens, ended in finished if ended], [*cut, *filter(None, so_far)])
    tokens = steps = read = 0.0
    for draw in range(DRAWS):
        left = [
            lengths.at_share(((number + 1) * GOLDEN + draw / DRAWS) % 1.0, now, row.request.max_tokens) - now
            for number, (now, row) in enumerate(zip(so_far, rows, strict=True))
        ]
        ends, later = left[: len(running)], left[len(running) :]
        tokens += sum(left) / DRAWS
        read += sum(row.position * each + each**2 / 2 for row, each in zip(rows, left, strict=True)) / DRAWS
        steps += (_in_groups if in_groups else _in_free_places)(ends, later, at_once) / DRAWS
    return Ahead(tokens, steps, read)


def _in_groups(ends: list[int], later: list[int], at_once: int) -> int:
    """Steps until all are written, where a request keeps its place until the last of its group ends."""
    groups = [later[start : start + at_once] for start in range(0, len(later), at_once)]
    return max(ends, default=0) + sum(max(group) for group in groups)


def _in_free_places(ends: list[int], later: list[int], at_once: int) -> int:
    """The same where every place that gets free is taken by the next."""
    heapq.heapify(ends)
    for steps in later:
        begin = heapq.heappop(ends) if len(ends) >= at_once else 0
        heapq.heappush(ends, begin + steps)
    return max(ends, default=0)
