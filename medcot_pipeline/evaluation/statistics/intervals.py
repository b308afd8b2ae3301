"""Intervals and tests for paired comparisons of the two arms.

Belongs here: pure functions from numbers or verdicts to estimates, intervals and p-values.
Does not: measuring anything, reading files, wording (evaluation/report/build.py).
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from medcot_pipeline.records.verdicts import Verdict
from medcot_pipeline.support.errors import MedcotError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

CELLS_IN_MEMORY = 2_000_000
"""Drawn indices held at once; index and gathered value take 12 bytes each, so about 25 MB."""
CONFIDENCE = 0.95
SCORES = {"tuned": 1, "base": -1, "tie": 0, "inconsistent": 0}


def paired_bootstrap_perplexity(
    base_nll: Sequence[float], tuned_nll: Sequence[float], tokens: Sequence[int], resamples: int, seed: int
) -> dict[str, dict[str, float]]:
    """Perplexity of both arms over the same rows, and their ratio, with 95 % percentile intervals.

    Perplexity is exp(sum of NLL / sum of tokens), weighted by token and not by row. The bootstrap resamples rows
    and takes both arms of a row together (Efron and Tibshirani 1993, ch. 8 and 13), so the ratio's interval is
    narrower than the two arms' intervals suggest.

    Args:
        base_nll: negative log likelihood summed over a row's scored tokens, nats; one entry per row.
        tuned_nll: the same rows in the same order.
        tokens: scored tokens of each row.
        resamples: bootstrap resamples.
        seed: the same seed gives the same interval.

    Returns:
        `base`, `tuned` and `ratio` (tuned / base), each with `value`, `low` and `high`.

    Raises:
        MedcotError: no row, or no scored token.
        ValueError: the three differ in length.
    """
    import numpy as np

    if not len(base_nll) == len(tuned_nll) == len(tokens):
        raise ValueError(f"{len(base_nll)} base, {len(tuned_nll)} tuned and {len(tokens)} token entries")
    if sum(tokens) <= 0:
        raise MedcotError("No held-out token was scored.", "Raise MEDCOT_PERPLEXITY__MAX_ROW_TOKENS or give more rows.")
    columns = np.array([base_nll, tuned_nll, tokens], dtype=np.float64)
    point, drawn = columns.sum(axis=1), _resampled_sums(columns, resamples, seed)
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = {"base": drawn[0] / drawn[2], "tuned": drawn[1] / drawn[2], "ratio": (drawn[1] - drawn[0]) / drawn[2]}
    values = {"base": point[0] / point[2], "tuned": point[1] / point[2], "ratio": (point[1] - point[0]) / point[2]}
    return {name: interval(np.exp(values[name]), np.exp(logs[name])) for name in values}


def bootstrap_perplexity_gap(
    held_out_nll: Sequence[float],
    held_out_tokens: Sequence[int],
    trained_nll: Sequence[float],
    trained_tokens: Sequence[int],
    resamples: int,
    seed: int,
) -> dict[str, float]:
    """Perplexity on held-out rows over perplexity on training rows of one arm, with a 95 % percentile interval.

    The two samples are independent, so each is resampled apart. Arguments as in `paired_bootstrap_perplexity`.

    Returns:
        `value`, `low`, `high`; 1 means no gap.
    """
    import numpy as np

    held_out = np.array([held_out_nll, held_out_tokens], dtype=np.float64)
    trained = np.array([trained_nll, trained_tokens], dtype=np.float64)
    drawn = [_resampled_sums(held_out, resamples, seed), _resampled_sums(trained, resamples, seed + 1)]
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = drawn[0][0] / drawn[0][1] - drawn[1][0] / drawn[1][1]
    point = held_out.sum(axis=1), trained.sum(axis=1)
    return interval(np.exp(point[0][0] / point[0][1] - point[1][0] / point[1][1]), np.exp(logs))


def net_preference(verdicts: Sequence[Verdict], resamples: int, seed: int) -> dict[str, Any]:
    """How much more often the tuned arm is preferred: (wins - losses) / n.

    Invalid verdicts are counted and left out of `n`. Inconsistent ones (the judge changed its mind with the order)
    count in `n` with score 0, like a tie, and are reported apart. The interval resamples prompts and the test counts
    prompts: verdicts of several reviewers on one prompt are no independent evidence.

    Args:
        verdicts: outcomes seen from the arms; `tuned` is a win.
        resamples: bootstrap resamples.
        seed: the same seed gives the same interval.

    Returns:
        `n`, `wins`, `ties`, `losses`, `inconsistent`, `invalid` (verdicts); `net` with `value`, `low`, `high` in
        [-1, 1]; `sign_test_p` (exact, two-sided, on prompts where one arm won more often than the other); `win_rate`,
        wins / n. With nothing to count, `n` is 0 and the estimates are None.
    """
    import numpy as np

    outcomes = [verdict.outcome for verdict in verdicts]
    wins, losses = outcomes.count("tuned"), outcomes.count("base")
    per_prompt: dict[str, tuple[int, int]] = {}
    for verdict in verdicts:
        if verdict.outcome in SCORES:
            score, count = per_prompt.get(verdict.prompt_id, (0, 0))
            per_prompt[verdict.prompt_id] = (score + SCORES[verdict.outcome], count + 1)
    n = sum(count for _, count in per_prompt.values())
    scores = [score for score, _ in per_prompt.values()]
    net: dict[str, float | None] = {"value": None, "low": None, "high": None}
    if n:
        drawn = _resampled_sums(np.array(list(per_prompt.values()), dtype=np.float64).T, resamples, seed)
        net = {**interval((wins - losses) / n, drawn[0] / drawn[1])}
    return {
        "n": n,
        "wins": wins,
        "ties": outcomes.count("tie"),
        "losses": losses,
        "inconsistent": outcomes.count("inconsistent"),
        "invalid": outcomes.count("invalid"),
        "net": net,
        "sign_test_p": sign_test_p(sum(score > 0 for score in scores), sum(score < 0 for score in scores)),
        "win_rate": wins / n if n else None,
    }


def sign_test_p(wins: int, losses: int) -> float | None:
    """Two-sided exact binomial p-value of `wins` against `losses` under even chances; None when nothing is decided."""
    from scipy.stats import binomtest

    return float(binomtest(wins, wins + losses, 0.5).pvalue) if wins + losses else None


def pass_rate_uplift(base_pass: int, tuned_pass: int, n: int) -> dict[str, float | None]:
    """What tuning adds to a pass rate: `absolute` (p_t - p_b) and `relative` ((p_t - p_b) / p_b).

    51 % to 71 % is 0.20 absolute and 0.39 relative. `absolute` is None without prompts, `relative` also when the
    base passes nothing.
    """
    return {
        "absolute": (tuned_pass - base_pass) / n if n else None,
        "relative": (tuned_pass - base_pass) / base_pass if n and base_pass else None,
    }


def pass_rate_intervals(counts: Mapping[str, int], resamples: int, seed: int) -> dict[str, dict[str, float | None]]:
    """`pass_rate_uplift` with 95 % intervals; the bootstrap resamples prompts, both arms together.

    Args:
        counts: `n`, `base_pass`, `base_only` and `tuned_only`, prompts.
        resamples: bootstrap resamples.
        seed: the same seed gives the same intervals.

    Returns:
        `base` and `tuned` (pass rates), `absolute` and `relative`, each with `value`, `low`, `high`; None where it is
        not defined. A resample in which the base passes nothing is left out of the interval of `relative`.
    """
    import numpy as np

    n, base_only, tuned_only = counts["n"], counts["base_only"], counts["tuned_only"]
    nothing: dict[str, float | None] = {"value": None, "low": None, "high": None}
    found = dict.fromkeys(("base", "tuned", "absolute", "relative"), nothing)
    if not n:
        return found
    both = counts["base_pass"] - base_only
    cells = np.array([both, base_only, tuned_only, n - both - base_only - tuned_only])
    drawn = np.vstack([cells, np.random.default_rng(seed).multinomial(n, cells / n, size=resamples)])
    base, tuned = (drawn[:, 0] + drawn[:, 1]) / n, (drawn[:, 0] + drawn[:, 2]) / n
    with np.errstate(divide="ignore", invalid="ignore"):
        relative = np.where(base > 0, tuned / base - 1, np.nan)
    rates = {"base": base, "tuned": tuned, "absolute": tuned - base, "relative": relative}
    return found | {name: {**interval(rate[0], rate[1:])} for name, rate in rates.items() if not np.isnan(rate[0])}


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


def interval(value: float, resampled: "NDArray[np.float64]") -> dict[str, float]:
    """The estimate with the percentile interval of its resamples, those that are no number left out."""
    import numpy as np

    low, high = np.nanquantile(resampled, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return {"value": float(value), "low": float(low), "high": float(high)}
