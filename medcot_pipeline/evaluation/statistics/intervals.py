"""Intervals and tests for paired comparisons of the two arms.

Belongs here: pure functions from numbers to estimates, intervals and p-values.
Does not: verdicts (preference.py), measuring anything, reading files, wording (evaluation/report/build.py).
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from medcot_pipeline.evaluation.statistics.score_intervals import difference_ends, ratio_ends, share_ends
from medcot_pipeline.records.answer_figures import Uplift
from medcot_pipeline.records.figures import Estimate, Interval, PairedCounts
from medcot_pipeline.records.report.estimates import PassRates
from medcot_pipeline.support.errors import MedcotError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

CELLS_IN_MEMORY = 2_000_000
"""Drawn indices held at once; index and gathered value take 12 bytes each, so about 25 MB."""
CONFIDENCE = 0.95


def paired_bootstrap_perplexity(
    other_nll: Sequence[float], tuned_nll: Sequence[float], tokens: Sequence[int], resamples: int, seed: int
) -> tuple[Interval, Interval, Interval]:
    """Perplexity of two arms over the same rows, and their ratio, with 95 % percentile intervals.

    Perplexity is exp(sum of NLL / sum of tokens), weighted by token and not by row. The bootstrap resamples rows
    and takes both arms of a row together (Efron and Tibshirani 1993, ch. 8 and 13), so the ratio's interval is
    narrower than the two arms' intervals suggest.

    Args:
        other_nll: of the base or the incumbent: negative log likelihood summed over a row's scored tokens, nats.
        tuned_nll: of tuned: the same rows in the same order.
        tokens: scored tokens of each row.
        resamples: bootstrap resamples.
        seed: the same seed gives the same interval.

    Returns:
        Perplexity of the other arm, of the tuned one, and tuned over the other.

    Raises:
        MedcotError: no row, or no scored token.
        ValueError: the three differ in length.
    """
    import numpy as np

    if not len(other_nll) == len(tuned_nll) == len(tokens):
        raise ValueError(f"{len(other_nll)} and {len(tuned_nll)} losses for {len(tokens)} token entries")
    if sum(tokens) <= 0:
        raise MedcotError("No held-out token was scored.", "Raise MEDCOT_PERPLEXITY__MAX_ROW_TOKENS or give more rows.")
    columns = np.array([other_nll, tuned_nll, tokens], dtype=np.float64)
    point, drawn = columns.sum(axis=1), _resampled_sums(columns, resamples, seed)
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = (drawn[0] / drawn[2], drawn[1] / drawn[2], (drawn[1] - drawn[0]) / drawn[2])
    values = (point[0] / point[2], point[1] / point[2], (point[1] - point[0]) / point[2])
    other, tuned, ratio = (interval(np.exp(value), np.exp(log)) for value, log in zip(values, logs, strict=True))
    return other, tuned, ratio


def bootstrap_perplexity_gap(
    held_out_nll: Sequence[float],
    held_out_tokens: Sequence[int],
    trained_nll: Sequence[float],
    trained_tokens: Sequence[int],
    resamples: int,
    seed: int,
) -> Interval:
    """Perplexity on held-out rows over perplexity on training rows of one arm, with a 95 % percentile interval.

    The two samples are independent, so each is resampled apart. Arguments as in `paired_bootstrap_perplexity`.

    Returns:
        The ratio; 1 means no gap.
    """
    import numpy as np

    held_out = np.array([held_out_nll, held_out_tokens], dtype=np.float64)
    trained = np.array([trained_nll, trained_tokens], dtype=np.float64)
    drawn = [_resampled_sums(held_out, resamples, seed), _resampled_sums(trained, resamples, seed + 1)]
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = drawn[0][0] / drawn[0][1] - drawn[1][0] / drawn[1][1]
    point = held_out.sum(axis=1), trained.sum(axis=1)
    return interval(np.exp(point[0][0] / point[0][1] - point[1][0] / point[1][1]), np.exp(logs))


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
    absolute = relative = Estimate()
    if uplift.absolute is not None:
        low, high = difference_ends(tuned_only, base_only, n)
        absolute = Estimate(value=uplift.absolute, low=low, high=high)
    if uplift.relative is not None:
        low, high = ratio_ends(counts.base_pass - base_only, tuned_only, base_only, n)
        relative = Estimate(value=uplift.relative, low=low - 1, high=high - 1)
    return PassRates(
        **{name: getattr(counts, name) for name in PairedCounts.model_fields},
        base=share_interval(counts.base_pass, n),
        tuned=share_interval(counts.tuned_pass, n),
        absolute=absolute,
        relative=relative,
    )


def _resampled_sums(columns: "NDArray[np.float64]", resamples: int, seed: int) -> "NDArray[np.float64]":
    """Column sums of rows drawn with replacement: (k, rows) gives (k, resamples), with bounded memory."""
    import numpy as np

    rows = columns.shape[1]
    chunk = max(1, CELLS_IN_MEMORY // rows)
    generator = np.random.default_rng(seed)
    sums = np.empty((len(columns), resamples))
    for start in range(0, resamples, chunk):
        stop = min(start + chunk, resamples)
        drawn = generator.integers(0, rows, size=(stop - start, rows), dtype=np.int32)
        for number, column in enumerate(columns):
            sums[number, start:stop] = column[drawn].sum(axis=1)
    return sums


def estimate(value: float, resampled: "NDArray[np.float64]") -> Estimate:
    """As `interval`; nothing where the estimate is no number."""
    import numpy as np

    return Estimate() if np.isnan(value) else Estimate(**dict(interval(value, resampled)))


def interval(value: float, resampled: "NDArray[np.float64]") -> Interval:
    """The estimate with the percentile interval of its resamples, those that are no number left out."""
    import numpy as np

    low, high = np.nanquantile(resampled, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Interval(value=float(value), low=float(low), high=float(high))
