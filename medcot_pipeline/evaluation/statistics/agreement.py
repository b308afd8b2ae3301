"""Agreement of two raters on the same prompts, and whether a review was blind.

Belongs here: pure functions over pairs of outcomes in the order base < tie < tuned.
Does not belong here: preference (intervals.py), who is compared with whom (evaluation/report/following.py).
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from medcot_pipeline.evaluation.statistics.intervals import estimate
from medcot_pipeline.evaluation.statistics.score_intervals import difference_ends
from medcot_pipeline.records.figures import Estimate
from medcot_pipeline.records.report.estimates import COEFFICIENTS, Agreement, BlindingIndex
from medcot_pipeline.records.review import Guesses
from medcot_pipeline.records.verdicts import Outcome

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

CLASSES: tuple[Outcome, Outcome, Outcome] = ("base", "tie", "tuned")


def agreement(pairs: Sequence[tuple[Outcome, Outcome]], resamples: int, seed: int) -> Agreement:
    """How far two raters agree, each coefficient with a 95 % interval over prompts.

    The intervals are those of tables drawn around the one that was found (Rubin 1981, the Bayesian bootstrap), with one
    further prompt spread evenly over the nine cells beforehand (Berger, Bernardo and Sun 2015): a cell in which nobody
    was seen is not impossible, so that two raters who never differed have an interval with a width.

    Args:
        pairs: both raters' outcomes (base, tie or tuned), one pair a prompt.
        resamples: tables drawn.
        seed: the same seed gives the same intervals.

    Returns:
        `table` of 3 x 3 counts, first rater in rows, `CLASSES` in order; `raw` (share of equal outcomes), `kappa` and
        `kappa_linear` (Cohen 1960 and 1968, linear weights), `ac1` (Gwet 2008), `alpha` (Krippendorff 2011, ordinal).
        A coefficient is None where it is not defined: without pairs, or where chance alone explains everything, such
        as kappa and alpha when only one class was used.
    """
    import numpy as np

    counts = np.zeros((3, 3))
    for first, second in pairs:
        counts[CLASSES.index(first), CLASSES.index(second)] += 1
    n = len(pairs)
    found = dict.fromkeys(COEFFICIENTS, Estimate())
    if n:
        drawn = n * np.random.default_rng(seed).dirichlet(counts.ravel() + 1 / counts.size, size=resamples)
        points, resampled = _coefficients(counts[None]), _coefficients(drawn.reshape(-1, 3, 3))
        found |= {name: _held(estimate(float(points[name][0]), resampled[name])) for name in COEFFICIENTS}
    return Agreement(n=n, table=counts.astype(int).tolist(), **found)


def blinding_index(guesses: Guesses) -> BlindingIndex:
    """Bang's index (2004) for one reviewer: (right - wrong) / n, "not sure" counted in n; 0 is blind, 1 is not."""
    right, wrong, unknown = guesses.right, guesses.wrong, guesses.unknown
    n = right + wrong + unknown
    value = Estimate()
    if n:
        low, high = difference_ends(right, wrong, n)
        value = Estimate(value=(right - wrong) / n, low=low, high=high)
    return BlindingIndex(n=n, right=right, wrong=wrong, unknown=unknown, value=value)


def _held(found: Estimate) -> Estimate:
    """The estimate with its value within its interval: one at its bound is outside of what is drawn around it."""
    if found.value is None or found.low is None or found.high is None:
        return found
    return Estimate(value=found.value, low=min(found.low, found.value), high=max(found.high, found.value))


def _coefficients(counts: "NDArray[np.float64]") -> dict[str, "NDArray[np.float64]"]:
    """Every coefficient of tables (k, 3, 3), each (k,); not a number where it is not defined."""
    import numpy as np

    n = counts.sum(axis=(1, 2))
    shares = counts / n[:, None, None]
    rows, columns = shares.sum(axis=2), shares.sum(axis=1)
    expected = rows[:, :, None] * columns[:, None, :]
    raw = np.trace(shares, axis1=1, axis2=2)
    nearness = 1 - np.abs(np.subtract.outer(np.arange(3), np.arange(3))) / 2
    used = (rows + columns) / 2
    return {
        "raw": raw,
        "kappa": _beyond_chance(raw, np.trace(expected, axis1=1, axis2=2)),
        "kappa_linear": _beyond_chance((shares * nearness).sum(axis=(1, 2)), (expected * nearness).sum(axis=(1, 2))),
        "ac1": _beyond_chance(raw, (used * (1 - used)).sum(axis=1) / 2),
        "alpha": _ordinal_alpha(counts),
    }


def _beyond_chance(observed: "NDArray[np.float64]", chance: "NDArray[np.float64]") -> "NDArray[np.float64]":
    import numpy as np

    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(np.isclose(chance, 1.0), np.nan, (observed - chance) / (1 - chance))


def _ordinal_alpha(counts: "NDArray[np.float64]") -> "NDArray[np.float64]":
    """1 - observed / expected disagreement over the coincidences of both raters' values.

    The distance of classes c < k is (sum of the values' counts from c to k, less half of both ends') squared.
    """
    import numpy as np

    coincidences = counts + counts.transpose(0, 2, 1)
    totals = coincidences.sum(axis=2)
    n = totals.sum(axis=1)
    upto = np.cumsum(totals, axis=1)
    middle = upto - totals / 2  # mean rank of a class: differences of these are the ordinal distances
    distance = (middle[:, :, None] - middle[:, None, :]) ** 2
    observed = (coincidences * distance).sum(axis=(1, 2)) / n
    expected = (totals[:, :, None] * totals[:, None, :] * distance).sum(axis=(1, 2)) / (n * (n - 1))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(expected > 0, 1 - observed / expected, np.nan)
