"""Means and pooled shares of two arms over the same prompts, and their difference.

Belongs here: pure functions from sums of each prompt to estimates.
Does not belong here: pass rates, preferences, perplexity (intervals.py).
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from medcot_pipeline.evaluation.statistics.intervals import drawn_sums, estimate
from medcot_pipeline.records.figures import Estimate

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Parts = tuple[float, float]
"""Numerator and denominator of one prompt."""


def paired_ratios(
    other: Sequence[Parts], tuned: Sequence[Parts], resamples: int, seed: int
) -> tuple[Estimate, Estimate, Estimate]:
    """Sum of numerators over sum of denominators in each arm, and tuned - other, with 95 % percentile intervals.

    With denominators of 1 these are means. The bootstrap draws prompts, both arms of a prompt and all of its criteria
    together (Efron and Tibshirani 1993, ch. 8), so that what varies together stays together.

    Args:
        other: one pair a prompt.
        tuned: the same prompts in the same order.
        resamples: bootstrap resamples.
        seed: the same seed gives the same intervals.

    Returns:
        Nothing where a sum of denominators is 0. No interval where every resample gives one and the same figure, as of
        one prompt, or of prompts that are all alike: resampling cannot show what none of them shows. Resamples in
        which a figure is not defined are left out.
    """
    import numpy as np

    if not other or not all(sum(parts[1] for parts in arm) for arm in (other, tuned)):
        return Estimate(), Estimate(), Estimate()
    columns = np.array([[*first, *second] for first, second in zip(other, tuned, strict=True)], dtype=np.float64)
    drawn = drawn_sums(columns, resamples, seed)
    values, resampled = _figures(columns.sum(axis=0)), _figures(drawn)
    first, second, difference = (_estimate(*each) for each in zip(values, resampled, strict=True))
    return first, second, difference


def _figures(sums: "NDArray[np.float64]") -> "tuple[NDArray[np.float64], ...]":
    import numpy as np

    with np.errstate(divide="ignore", invalid="ignore"):
        other, tuned = sums[..., 0] / sums[..., 1], sums[..., 2] / sums[..., 3]
    finite = [np.where(np.isfinite(each), each, np.nan) for each in (other, tuned)]
    return finite[0], finite[1], finite[1] - finite[0]


def _estimate(value: "NDArray[np.float64]", resampled: "NDArray[np.float64]") -> Estimate:
    import numpy as np

    if np.isnan(resampled).all() or np.nanmax(resampled) - np.nanmin(resampled) < 1e-12:
        return Estimate(value=float(value))
    return estimate(float(value), resampled)
