"""How far a preference is one for longer answers.

Belongs here: length figures of verdicts, and the preference with length held equal.
Does not belong here: the preference itself (preference.py).
"""

from collections.abc import Mapping, Sequence
from typing import Any

from medcot_pipeline.evaluation.statistics.intervals import share_interval, sign_test_p
from medcot_pipeline.evaluation.statistics.preference import net_preference, with_half_of_ties
from medcot_pipeline.records.arms import Arm
from medcot_pipeline.records.figures import Estimate
from medcot_pipeline.records.report.estimates import LengthFigures
from medcot_pipeline.records.verdicts import Verdict

SCORES = {"tuned": 1.0, "base": 0.0, "tie": 0.5, "inconsistent": 0.5}


def length_figures(verdicts: Sequence[Verdict], lengths: Mapping[tuple[str, Arm], int]) -> LengthFigures:
    """Whether the longer answer wins, and the win rate of tuned were both answers of one length.

    The length-controlled win rate is sigma(intercept) of a fractional logit (Papke and Wooldridge 1996) of the score
    (1 tuned, 0 base, 0.5 neither) on tanh(length difference / its standard deviation), as AlpacaEval 2 does without
    its per-prompt terms (Dubois et al. 2024); the interval is by robust standard errors, clustered by prompt. A
    sensitivity and no headline: with 100 prompts and a strong taste for length it is wide.

    Args:
        verdicts: invalid ones are left out.
        lengths: characters of the answers, by (prompt, arm).

    Returns:
        `controlled` is None where length and verdict cannot be told apart: too few verdicts, or separated by length.
    """
    import numpy as np

    scored = [verdict for verdict in verdicts if verdict.outcome in SCORES]
    pairs = [(lengths[verdict.prompt_id, "base"], lengths[verdict.prompt_id, "tuned"]) for verdict in scored]
    longer = np.array([tuned - base for base, tuned in pairs], dtype=np.float64)
    scores = np.array([SCORES[verdict.outcome] for verdict in scored])
    decided = (scores != 0.5) & (longer != 0)
    longer_won = int(((longer > 0) == (scores == 1.0))[decided].sum())
    return LengthFigures(
        n=len(scored),
        mean_base=sum(base for base, _ in pairs) / len(pairs) if pairs else None,
        mean_tuned=sum(tuned for _, tuned in pairs) / len(pairs) if pairs else None,
        longer_wins=share_interval(longer_won, int(decided.sum())),
        decided=int(decided.sum()),
        longer_p=sign_test_p(longer_won, int(decided.sum()) - longer_won),
        win_rate=with_half_of_ties(net_preference(scored).net),
        controlled=_controlled(longer, scores, [verdict.prompt_id for verdict in scored]),
        points=tuple((int(x), float(y)) for x, y in zip(longer, scores, strict=True)),
    )


def _controlled(longer: Any, scores: Any, prompts: Sequence[str]) -> Estimate:
    """sigma(intercept) with its 95 % interval; verdicts of several reviewers on one prompt vary together."""
    import numpy as np
    import statsmodels.api as sm
    from scipy.special import expit

    if len(scores) < 3 or not scores.std():
        return Estimate()
    columns = [np.ones(len(scores))]
    if longer.std():
        columns.append(np.tanh(longer / longer.std()))
        if _separated(longer, scores):
            return Estimate()
    clusters = {"groups": np.unique(prompts, return_inverse=True)[1]}
    model = sm.GLM(scores, np.column_stack(columns), family=sm.families.Binomial())
    fitted = model.fit(cov_type="cluster", cov_kwds=clusters)
    low, high = fitted.conf_int()[0]
    return Estimate(value=float(expit(fitted.params[0])), low=float(expit(low)), high=float(expit(high)))


def _separated(longer: Any, scores: Any) -> bool:
    """Whether some length difference parts the verdicts without overlap, so that the fit has no finite answer."""
    wins, losses, neither = longer[scores == 1.0], longer[scores == 0.0], longer[scores == 0.5]
    if len(set(neither)) > 1:
        return False
    above, below = [*wins, *neither], [*losses, *neither]
    return bool(min(above) >= max(below) or max(above) <= min(below))
