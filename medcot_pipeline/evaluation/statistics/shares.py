"""Shares of questions that are asked several times, and differences of two arms over the same questions.

Belongs here: pure functions from counts to estimates with 95 % intervals.
Does not belong here: shares of independent cases (`share_interval` of intervals.py), measuring anything.
"""

from collections.abc import Sequence

from medcot_pipeline.evaluation.statistics.intervals import drawn_sums, estimate, paired_difference, share_interval
from medcot_pipeline.records.figures import Estimate, PairedCounts


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
    drawn = drawn_sums(np.array(counts, dtype=np.float64), resamples, seed)
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
    return estimate(float(differences.mean()), drawn_sums(differences, resamples, seed)[:, 0] / len(pairs))


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
