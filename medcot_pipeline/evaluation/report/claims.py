"""Every figure that "so many % better" can mean, each with its definition.

Belongs here: which claims there are, and the formula of each.
Does not: the figures themselves; none is derived from another.
"""

from typing import Literal

from medcot_pipeline.records.figures import Estimate
from medcot_pipeline.records.report.following import InstructionFollowing
from medcot_pipeline.records.report.report import Claim, PerplexitySection


def claims(perplexity: PerplexitySection, following: InstructionFollowing) -> tuple[Claim, ...]:
    """The claims; those on preference rest on the headline's verdicts, else on the judge's."""
    source = following.headline or "judge"
    whose = {"human": "people", "judge": "the AI judge", "joint": "people and judge together"}[source]
    preference, rates = following.preference.of(source), following.rates.strict
    length = following.length.get(source)
    with_ties = Estimate(value=length.win_rate if length else None)
    controlled = length.controlled if length else Estimate()
    rows: tuple[tuple[str, str, Literal["%", "points"], Estimate], ...] = (
        ("relative drop of held-out perplexity", "1 − PPL(tuned) / PPL(base)", "%", _drop(perplexity)),
        (f"net preference, {whose}", "(wins − losses) / n", "points", preference.net),
        (f"win rate, {whose}", "wins / n", "%", Estimate(value=preference.win_rate)),
        (f"win rate with half of the ties, {whose}", "(wins + ties / 2) / n", "%", with_ties),
        ("the same with length held equal", "σ(intercept) of a logit on tanh(Δ length / sd)", "%", controlled),
        ("explicit instructions kept, absolute", "p(tuned) − p(base), strict", "points", rates.absolute),
        ("explicit instructions kept, relative", "(p(tuned) − p(base)) / p(base), strict", "%", rates.relative),
    )
    return tuple(
        Claim(claim=claim, formula=formula, unit=unit, **dict(figure)) for claim, formula, unit, figure in rows
    )


def _drop(perplexity: PerplexitySection) -> Estimate:
    if perplexity.relative_drop is None:
        return Estimate()
    ratio = perplexity.ratio
    if ratio.low is None or ratio.high is None:
        return Estimate(value=1 - ratio.value)
    return Estimate(value=1 - ratio.value, low=1 - ratio.high, high=1 - ratio.low)
