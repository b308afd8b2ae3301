"""How much more often the tuned arm is preferred.

Belongs here: pure functions from verdicts to the net preference, with intervals that know of several reviewers.
Does not belong here: what second looks add (adjudicated.py), whose verdicts count (evaluation/report/following.py).
"""

from collections.abc import Sequence

from medcot_pipeline.evaluation.statistics.intervals import sign_test_p
from medcot_pipeline.evaluation.statistics.score_intervals import difference_ends, share_ends
from medcot_pipeline.records.figures import Estimate
from medcot_pipeline.records.report.estimates import Preference
from medcot_pipeline.records.verdicts import Verdict

SCORES = {"tuned": 1, "base": -1, "incumbent": -1, "tie": 0, "inconsistent": 0}
"""Of an outcome; invalid ones have none."""
NOTHING_VARIES = 1e-12
Part = tuple[float, float]
"""What one verdict adds to wins and to losses: a whole one (1, 0), (0, 1) or (0, 0)."""


def net_preference(verdicts: Sequence[Verdict]) -> Preference:
    """How much more often the tuned arm is preferred: (wins - losses) / n.

    Invalid verdicts are counted and left out of `n`. Inconsistent ones (the judge changed its mind with the order)
    count in `n` with score 0, like a tie, and are reported apart. Intervals and test count prompts: verdicts of several
    reviewers on one prompt are no independent evidence.

    Args:
        verdicts: outcomes seen from the arms; `tuned` is a win.

    Returns:
        Counts and estimates; `sign_test_p` is on prompts where one arm won more often than the other.
    """
    outcomes = [verdict.outcome for verdict in verdicts]
    per_prompt: dict[str, list[int]] = {}
    for verdict in verdicts:
        if verdict.outcome in SCORES:
            per_prompt.setdefault(verdict.prompt_id, []).append(SCORES[verdict.outcome])
    scores = [sum(given) for given in per_prompt.values()]
    parts = [[(float(score > 0), float(score < 0)) for score in given] for given in per_prompt.values()]
    return Preference(
        n=sum(map(len, parts)),
        prompts=len(parts),
        wins=sum(SCORES.get(outcome) == 1 for outcome in outcomes),
        ties=outcomes.count("tie"),
        losses=sum(SCORES.get(outcome) == -1 for outcome in outcomes),
        inconsistent=outcomes.count("inconsistent"),
        invalid=outcomes.count("invalid"),
        net=net_estimate(parts),
        sign_test_p=sign_test_p(sum(score > 0 for score in scores), sum(score < 0 for score in scores)),
        win_rate=win_estimate(parts),
    )


def net_estimate(parts: Sequence[Sequence[Part]]) -> Estimate:
    """Wins less losses, each as a share of all verdicts, with the score interval of their difference.

    The interval is that of as many independent verdicts as would leave the net as uncertain as it is (Rao and Scott
    1992): fewer than there are where several verdicts on one prompt go together.

    Args:
        parts: for each prompt, what each verdict on it adds to wins and to losses.
    """
    n = sum(map(len, parts))
    if not n:
        return Estimate()
    won, lost = (sum(part[side] for given in parts for part in given) / n for side in (0, 1))
    net = min(1.0, max(-1.0, won - lost))
    decided = min(1.0, max(abs(net), won + lost))  # parts that are estimates can leave what is possible
    effective = _effective_n([[wins - losses for wins, losses in given] for given in parts], net, decided - net * net)
    low, high = difference_ends(effective * (decided + net) / 2, effective * (decided - net) / 2, effective)
    return Estimate(value=net, low=min(low, net), high=max(high, net))


def win_estimate(parts: Sequence[Sequence[Part]]) -> Estimate:
    """Wins as a share of all verdicts, with the score interval of a share; arguments as in `net_estimate`."""
    n = sum(map(len, parts))
    if not n:
        return Estimate()
    won = min(1.0, max(0.0, sum(wins for given in parts for wins, _ in given) / n))
    effective = _effective_n([[wins for wins, _ in given] for given in parts], won, won * (1 - won))
    low, high = share_ends(effective * won, effective)
    return Estimate(value=won, low=min(low, won), high=max(high, won))


def _effective_n(values: Sequence[Sequence[float]], mean: float, spread: float) -> float:
    """How many independent verdicts would leave the mean as uncertain as these do; at most as many as there are.

    Args:
        values: of the verdicts on each prompt.
        mean: of all values.
        spread: their variance, were they independent. Where nothing varies, the prompts count.
    """
    n, prompts = sum(map(len, values)), len(values)
    variance = sum((sum(given) - mean * len(given)) ** 2 for given in values) / n**2
    if 1 < prompts < n:
        variance *= prompts / (prompts - 1)  # of few clusters the plain sum of squares is too small
    return min(float(n), spread / variance) if min(spread, variance) > NOTHING_VARIES else float(prompts)


def with_half_of_ties(net: Estimate) -> Estimate:
    """The win rate with half of the ties, (wins + ties / 2) / n, which is (1 + net) / 2."""
    if net.value is None or net.low is None or net.high is None:
        return Estimate()
    return Estimate(value=(1 + net.value) / 2, low=(1 + net.low) / 2, high=(1 + net.high) / 2)
