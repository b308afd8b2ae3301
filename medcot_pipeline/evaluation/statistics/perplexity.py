"""Ratios of sums over groups of rows, of which perplexity is one, with intervals that hold for few groups too.

A percentile bootstrap is too narrow there: of 12 groups it covers 89 to 91 %, of 5 about 81 %, of one group nothing but
the estimate itself. What is used instead covers 94 to 97 % from 5 groups on, as
`medcot_pipeline_tests/unit/evaluation/statistics/test_perplexity_ratios.py` asserts.

Belongs here: pure functions from sums to estimates with intervals.
Does not belong here: which sums (evaluation/perplexity/figures.py), other figures (intervals.py).
"""

import dataclasses
import math
from collections.abc import Sequence

from medcot_pipeline.evaluation.statistics.intervals import CONFIDENCE
from medcot_pipeline.records.figures import Interval
from medcot_pipeline.support.errors import MedcotError

LEAST_GROUPS = 2
"""Groups below which nothing is known of how much they differ, and so no interval is defined."""
WIDEST = 1000.0
"""Factor from a perplexity to an end of its interval above which the interval says nothing, and is not given."""


@dataclasses.dataclass(frozen=True)
class Ratio:
    """A ratio of sums; its standard error is None where it is not defined.

    Attributes:
        value: sum of parts / sum of wholes.
        error: standard error of `value`.
        freedom: degrees of freedom of `error`.
    """

    value: float
    error: float | None
    freedom: float

    def interval(self) -> Interval:
        """The estimate with its 95 % interval by Student's t."""
        from scipy.special import stdtrit

        if self.error is None:
            return Interval(value=self.value, low=None, high=None)
        half = float(stdtrit(self.freedom, (1 + CONFIDENCE) / 2)) * self.error
        return Interval(value=self.value, low=self.value - half, high=self.value + half)

    def exponential(self) -> Interval:
        """The same of exp(value), which is a perplexity of nats per token; no ends where `WIDEST` leaves them out."""
        found = self.interval()
        if found.low is None or found.high is None or found.high - found.value > math.log(WIDEST):
            return Interval(value=math.exp(found.value), low=None, high=None)
        return Interval(value=math.exp(found.value), low=math.exp(found.low), high=math.exp(found.high))

    def less(self, other: "Ratio") -> "Ratio":
        """The difference to an independent ratio, its degrees of freedom by Welch and Satterthwaite (Welch 1947)."""
        value = self.value - other.value
        if self.error is None or other.error is None:
            return Ratio(value, None, 0.0)
        mine, theirs = self.error**2, other.error**2
        spread = mine**2 / self.freedom + theirs**2 / other.freedom
        freedom = (mine + theirs) ** 2 / spread if spread else self.freedom + other.freedom
        return Ratio(value, math.sqrt(mine + theirs), freedom)


def ratio_of_sums(parts: Sequence[float], wholes: Sequence[float]) -> Ratio:
    """Sum of parts over sum of wholes, such as nats over tokens, with a standard error over independent groups.

    The estimator is least squares through the origin with variance proportional to the whole (Cochran 1977, Sampling
    Techniques, ch. 6), so a group's leverage is its share of all wholes. The error is the sandwich of residuals, each
    over one less its leverage (HC3: MacKinnon and White 1985; with groups of rows, Bell and McCaffrey 2002), with one
    degree of freedom less than there are groups.

    Args:
        parts: of each group.
        wholes: of the same groups in the same order.

    Raises:
        MedcotError: the wholes sum to nothing.
        ValueError: the two differ in length.
    """
    import numpy as np

    if len(parts) != len(wholes):
        raise ValueError(f"{len(parts)} parts for {len(wholes)} wholes")
    part, whole = np.array(parts, dtype=np.float64), np.array(wholes, dtype=np.float64)
    total = float(whole.sum())
    if total == 0:
        raise MedcotError("No token was scored.", "Raise MEDCOT_PERPLEXITY__MAX_ROW_TOKENS or give more rows.")
    value = float(part.sum()) / total
    rest = 1 - whole / total
    if len(parts) < LEAST_GROUPS or bool((rest <= 0).any()):
        return Ratio(value, None, 0.0)
    error = math.sqrt(float((((part - value * whole) / rest) ** 2).sum())) / abs(total)
    return Ratio(value, error, len(parts) - 1)


def paired_perplexity(
    other_nll: Sequence[float], tuned_nll: Sequence[float], tokens: Sequence[int]
) -> tuple[Interval, Interval, Interval]:
    """Perplexity of two arms over the same groups of rows, and their ratio, with 95 % intervals.

    Perplexity is exp(sum of NLL / sum of tokens), weighted by token and not by row. Both arms of a group stand together
    in the ratio, so its interval is narrower than the two arms' intervals suggest.

    Args:
        other_nll: of the base or the incumbent: negative log likelihood summed over a group's scored tokens, nats.
        tuned_nll: of tuned: the same groups in the same order.
        tokens: scored tokens of each group.

    Returns:
        Perplexity of the other arm, of the tuned one, and tuned over the other; without an interval where there are
        fewer than two groups.

    Raises:
        MedcotError: no group, or no scored token.
        ValueError: the three differ in length.
    """
    change = [tuned - other for other, tuned in zip(other_nll, tuned_nll, strict=True)]
    other, tuned, ratio = (ratio_of_sums(nll, tokens).exponential() for nll in (other_nll, tuned_nll, change))
    return other, tuned, ratio
