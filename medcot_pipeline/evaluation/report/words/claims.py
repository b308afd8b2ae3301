"""Every figure that "so many % better" can mean, each with its definition.

Belongs here: which claims there are, and the formula of each.
Does not belong here: the figures themselves; none is derived from another.
"""

from typing import Literal

from medcot_pipeline.evaluation.statistics.preference import with_half_of_ties
from medcot_pipeline.records.figures import Estimate
from medcot_pipeline.records.report.following import InstructionFollowing, Source
from medcot_pipeline.records.report.report import Claim, PerplexitySection

WHOSE: dict[Source | None, str] = {"human": "people", "judge": "the AI judge", None: "no headline"}


def claims(perplexity: PerplexitySection, following: InstructionFollowing) -> tuple[Claim, ...]:
    """The claims; those on preference rest on the headline's verdicts, and are empty without one."""
    whose = WHOSE[following.headline]
    preference = following.preference.of(following.headline) if following.headline else None
    net, won = (preference.net, preference.win_rate) if preference else (Estimate(), Estimate())
    length, rates = following.length.get(following.headline) if following.headline else None, following.rates.strict
    controlled = length.controlled if length else Estimate()
    rows: tuple[tuple[str, str, Literal["%", "points"], Estimate], ...] = (
        ("relative drop of held-out perplexity", "1 − PPL(tuned) / PPL(base)", "%", _drop(perplexity)),
        (f"net preference, {whose}", "(wins − losses) / n", "points", net),
        (f"win rate, {whose}", "wins / n", "%", won),
        (f"win rate with half of the ties, {whose}", "(wins + ties / 2) / n", "%", with_half_of_ties(net)),
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
