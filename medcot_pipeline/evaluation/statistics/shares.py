"""Shares of questions that are asked several times, and differences of two arms over the same questions.

Belongs here: pure functions from counts to estimates with 95 % intervals.
Does not: shares of independent cases (`share_interval` of intervals.py), measuring anything.
"""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from medcot_pipeline.evaluation.statistics.intervals import CELLS_IN_MEMORY, estimate, share_interval
from medcot_pipeline.records.figures import Estimate, PairedCounts

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def clustered_share(counts: Sequence[tuple[int, int]], resamples: int, seed: int) -> Estimate:
    """Passed over all, with the percentile interval of a bootstrap that resamples clusters.

    Answers to one question are no independent evidence (Efron and Tibshirani 1993, ch. 8). Where all or none pass, so
    that no resample differs, the interval is the score interval over the clusters.

    Args:
        counts: (passed, all) of each cluster; a cluster may be empty.
        resamples: bootstrap resamples.
        seed: the same seed gives the same interval.
    """
    import numpy as np

    passed, total = (sum(each[column] for each in counts) for column in (0, 1))
    if passed in (0, total):
        clusters = sum(bool(each[1]) for each in counts)
        return share_interval(clusters if passed else 0, clusters)
    drawn = _drawn_sums(np.array(counts, dtype=np.float64), resamples, seed)
    with np.errstate(divide="ignore", invalid="ignore"):
        return estimate(passed / total, drawn[:, 0] / drawn[:, 1])


def clustered_difference(pairs: Sequence[tuple[float, float]], resamples: int, seed: int) -> Estimate:
    """Mean of tuned less mean of base over the same clusters; both of a cluster are resampled together.

    Args:
        pairs: (base, tuned) of each cluster, such as the shares of its right answers.
        resamples: bootstrap resamples.
        seed: the same seed gives the same interval.
    """
    import numpy as np

    if not pairs:
        return Estimate()
    if len(set(pairs)) == 1 and set(pairs[0]) <= {0, 1}:  # no resample differs
        return paired_difference(_alike(len(pairs), *map(bool, pairs[0])))
    differences = np.array([[tuned - base] for base, tuned in pairs], dtype=np.float64)
    return estimate(float(differences.mean()), _drawn_sums(differences, resamples, seed)[:, 0] / len(pairs))


def _alike(n: int, base: bool, tuned: bool) -> PairedCounts:
    """Counts of questions that are all alike."""
    return PairedCounts(
        n=n,
        base_pass=n * base,
        tuned_pass=n * tuned,
        base_only=n * (base and not tuned),
        tuned_only=n * (tuned and not base),
        mcnemar_p=None,
    )


def paired_difference(counts: PairedCounts) -> Estimate:
    """Share of tuned less share of base over the same questions, with a score interval (Newcombe 1998, method 10).

    It has a width also where the arms never differ.
    """
    n = counts.n
    if not n:
        return Estimate()
    base, tuned = share_interval(counts.base_pass, n), share_interval(counts.tuned_pass, n)
    both = counts.base_pass - counts.base_only
    neither = n - both - counts.base_only - counts.tuned_only
    margins = counts.base_pass * (n - counts.base_pass) * counts.tuned_pass * (n - counts.tuned_pass)
    cross = float(both * neither - counts.base_only * counts.tuned_only)
    if cross > 0:  # the continuity correction of the method
        cross = max(cross - n / 2, 0.0)
    phi = cross / math.sqrt(margins) if margins else 0.0
    difference = _value(tuned.value) - _value(base.value)
    below = (_value(tuned.value) - _value(tuned.low), _value(base.high) - _value(base.value))
    above = (_value(tuned.high) - _value(tuned.value), _value(base.value) - _value(base.low))
    return Estimate(
        value=difference,
        low=max(-1.0, difference - _joined(*below, phi)),
        high=min(1.0, difference + _joined(*above, phi)),
    )


def _joined(one: float, other: float, phi: float) -> float:
    """Length of the third side: two errors that vary together by `phi`."""
    return math.sqrt(max(0.0, one**2 - 2 * phi * one * other + other**2))


def _value(value: float | None) -> float:
    assert value is not None, "a share of at least one case is defined"
    return value


def _drawn_sums(rows: "NDArray[np.float64]", resamples: int, seed: int) -> "NDArray[np.float64]":
    """Column sums of rows drawn with replacement: (rows, k) gives (resamples, k), with bounded memory."""
    import numpy as np

    generator, chunk = np.random.default_rng(seed), max(1, CELLS_IN_MEMORY // len(rows))
    even = np.full(len(rows), 1 / len(rows))
    sums = [
        generator.multinomial(len(rows), even, size=min(chunk, resamples - start)) @ rows
        for start in range(0, resamples, chunk)
    ]
    return np.concatenate(sums)
