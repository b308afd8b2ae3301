"""Intervals and tests for paired comparisons of the two arms.

Belongs here: pure functions from numbers or verdicts to estimates, intervals and p-values.
Does not: measuring anything, reading files, wording (evaluation/report/build.py).
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from medcot_pipeline.records.answer_figures import Uplift
from medcot_pipeline.records.figures import Estimate, Interval, PairedCounts
from medcot_pipeline.records.report.estimates import PassRates, Preference
from medcot_pipeline.records.verdicts import Verdict

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

CELLS_IN_MEMORY = 2_000_000
"""Drawn indices held at once; index and gathered value take 12 bytes each, so about 25 MB."""
CONFIDENCE = 0.95
SCORES = {"tuned": 1, "base": -1, "incumbent": -1, "tie": 0, "inconsistent": 0}
"""Of an outcome; invalid ones have none."""


def net_preference(verdicts: Sequence[Verdict], resamples: int, seed: int) -> Preference:
    """How much more often the tuned arm is preferred: (wins - losses) / n.

    Invalid verdicts are counted and left out of `n`. Inconsistent ones (the judge changed its mind with the order)
    count in `n` with score 0, like a tie, and are reported apart. The interval resamples prompts and the test counts
    prompts: verdicts of several reviewers on one prompt are no independent evidence.

    Args:
        verdicts: outcomes seen from the arms; `tuned` is a win.
        resamples: bootstrap resamples.
        seed: the same seed gives the same interval.

    Returns:
        Counts and estimates; `sign_test_p` is on prompts where one arm won more often than the other.
    """
    import numpy as np

    outcomes = [verdict.outcome for verdict in verdicts]
    wins, losses = (sum(SCORES.get(outcome) == score for outcome in outcomes) for score in (1, -1))
    per_prompt: dict[str, tuple[int, int]] = {}
    for verdict in verdicts:
        if verdict.outcome in SCORES:
            score, count = per_prompt.get(verdict.prompt_id, (0, 0))
            per_prompt[verdict.prompt_id] = (score + SCORES[verdict.outcome], count + 1)
    n = sum(count for _, count in per_prompt.values())
    scores = [score for score, _ in per_prompt.values()]
    net = Estimate()
    if n:
        drawn = _resampled_sums(np.array(list(per_prompt.values()), dtype=np.float64).T, resamples, seed)
        net = estimate((wins - losses) / n, drawn[0] / drawn[1])
    return Preference(
        n=n,
        wins=wins,
        ties=outcomes.count("tie"),
        losses=losses,
        inconsistent=outcomes.count("inconsistent"),
        invalid=outcomes.count("invalid"),
        net=net,
        sign_test_p=sign_test_p(sum(score > 0 for score in scores), sum(score < 0 for score in scores)),
        win_rate=wins / n if n else None,
    )


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
    from scipy.stats import binomtest

    if not n:
        return Estimate()
    low, high = binomtest(passed, n).proportion_ci(CONFIDENCE, method="wilson")
    return Estimate(value=passed / n, low=float(low), high=float(high))


def pass_rate_uplift(base_pass: int, tuned_pass: int, n: int) -> Uplift:
    """What tuning adds to a pass rate: `absolute` (p_t - p_b) and `relative` ((p_t - p_b) / p_b).

    51 % to 71 % is 0.20 absolute and 0.39 relative. `absolute` is None without prompts, `relative` also when the
    base passes nothing.
    """
    return Uplift(
        absolute=(tuned_pass - base_pass) / n if n else None,
        relative=(tuned_pass - base_pass) / base_pass if n and base_pass else None,
    )


def pass_rate_intervals(counts: PairedCounts, resamples: int, seed: int) -> PassRates:
    """The counts with pass rates and `pass_rate_uplift`, and 95 % intervals.

    The bootstrap resamples prompts, both arms together.

    Args:
        counts: prompts.
        resamples: bootstrap resamples.
        seed: the same seed gives the same intervals.

    Returns:
        None where a rate is not defined. A resample in which the base passes nothing is left out of the interval of
        `relative`.
    """
    import numpy as np

    n, base_only, tuned_only = counts.n, counts.base_only, counts.tuned_only
    found = dict.fromkeys(("base", "tuned", "absolute", "relative"), Estimate())
    if n:
        both = counts.base_pass - base_only
        cells = np.array([both, base_only, tuned_only, n - both - base_only - tuned_only])
        drawn = np.vstack([cells, np.random.default_rng(seed).multinomial(n, cells / n, size=resamples)])
        base, tuned = (drawn[:, 0] + drawn[:, 1]) / n, (drawn[:, 0] + drawn[:, 2]) / n
        with np.errstate(divide="ignore", invalid="ignore"):
            relative = np.where(base > 0, tuned / base - 1, np.nan)
        rates = {"base": base, "tuned": tuned, "absolute": tuned - base, "relative": relative}
        found = {name: estimate(rate[0], rate[1:]) for name, rate in rates.items()}
    return PassRates(**{name: getattr(counts, name) for name in PairedCounts.model_fields}, **found)


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
