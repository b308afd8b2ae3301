"""Intervals and tests for paired comparisons of the two arms.

Belongs here: pure functions from numbers to estimates, intervals and p-values.
Does not belong here: verdicts (preference.py), measuring anything, reading files, wording (evaluation/report/build.py).
"""

from typing import TYPE_CHECKING

from medcot_pipeline.evaluation.statistics.score_intervals import difference_ends, ratio_ends, share_ends
from medcot_pipeline.records.answer_figures import Uplift
from medcot_pipeline.records.figures import Estimate, Interval, PairedCounts
from medcot_pipeline.records.report.estimates import PassRates

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

CONFIDENCE = 0.95
CELLS_IN_MEMORY = 2_000_000
"""Drawn counts held at once."""


def sign_test_p(wins: int, losses: int) -> float | None:
    """Two-sided exact binomial p-value of `wins` against `losses` under even chances; None when nothing is decided."""
    from scipy.stats import binomtest

    return float(binomtest(wins, wins + losses, 0.5).pvalue) if wins + losses else None


def share_interval(passed: int, n: int) -> Estimate:
    """A share with its 95 % score interval (Wilson 1927), which has a width also where all or none pass.

    Args:
        passed: how many of `n` pass.
        n: independent cases; nothing is defined without any.
    """
    if not n:
        return Estimate()
    low, high = share_ends(passed, n)
    return Estimate(value=passed / n, low=low, high=high)


def pass_rate_uplift(base_pass: int, tuned_pass: int, n: int) -> Uplift:
    """What tuning adds to a pass rate: `absolute` (p_t - p_b) and `relative` ((p_t - p_b) / p_b).

    51 % to 71 % is 0.20 absolute and 0.39 relative. `absolute` is None without prompts, `relative` also when the
    base passes nothing.
    """
    return Uplift(
        absolute=(tuned_pass - base_pass) / n if n else None,
        relative=(tuned_pass - base_pass) / base_pass if n and base_pass else None,
    )


def pass_rate_intervals(counts: PairedCounts) -> PassRates:
    """The counts with pass rates and `pass_rate_uplift`, and 95 % score intervals.

    Returns:
        None where a rate is not defined; `relative` is not where the base passes nothing.
    """
    n, base_only, tuned_only = counts.n, counts.base_only, counts.tuned_only
    uplift = pass_rate_uplift(counts.base_pass, counts.tuned_pass, n)
    relative = Estimate()
    if uplift.relative is not None:
        low, high = ratio_ends(counts.base_pass - base_only, tuned_only, base_only, n)
        relative = Estimate(value=uplift.relative, low=low - 1, high=high - 1)
    return PassRates(
        **{name: getattr(counts, name) for name in PairedCounts.model_fields},
        base=share_interval(counts.base_pass, n),
        tuned=share_interval(counts.tuned_pass, n),
        absolute=paired_difference(counts),
        relative=relative,
    )


def paired_difference(counts: PairedCounts) -> Estimate:
    """Share of tuned less share of base over the same items, with its 95 % score interval; nothing without items."""
    if not counts.n:
        return Estimate()
    low, high = difference_ends(counts.tuned_only, counts.base_only, counts.n)
    return Estimate(value=(counts.tuned_pass - counts.base_pass) / counts.n, low=low, high=high)


def estimate(value: float, resampled: "NDArray[np.float64]") -> Estimate:
    """As `interval`; nothing where the estimate is no number."""
    import numpy as np

    return Estimate() if np.isnan(value) else Estimate(**dict(interval(value, resampled)))


def interval(value: float, resampled: "NDArray[np.float64]") -> Interval:
    """The estimate with the percentile interval of its resamples, those that are no number left out."""
    import numpy as np

    low, high = np.nanquantile(resampled, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Interval(value=float(value), low=float(low), high=float(high))


def drawn_sums(rows: "NDArray[np.float64]", resamples: int, seed: int) -> "NDArray[np.float64]":
    """Column sums of rows drawn with replacement: (rows, k) gives (resamples, k), with bounded memory."""
    import numpy as np

    count, generator = len(rows), np.random.default_rng(seed)
    even, chunk = np.full(count, 1 / count), max(1, CELLS_IN_MEMORY // count)
    sums = [
        generator.multinomial(count, even, size=min(chunk, resamples - start)) @ rows
        for start in range(0, resamples, chunk)
    ]
    return np.concatenate(sums)
