"""Which adapter takes over: its report held against set margins.

An adapter is a candidate until it beats the base and the incumbent: the perplexity ratio's interval lies below its
limit, and neither net preference, nor the constraints kept, nor the share of answers that are not empty may have become
worse by more than the margin, by the lower end of their intervals. What was measured on fewer than `report.least_n`
cases, or by verdicts that are no evidence, holds the adapter back; what was not measured passes or holds it back, as
`promotion.unmeasured` says; but an incumbent of another base model, which cannot be compared at all, is never replaced
by a decision: who wants to begin anew removes its link.

A decision takes effect once, after it is published; the next pass sees to that if its own was killed, unless another
adapter was promoted meanwhile. It is made anew where its inputs change (the report, the adapter, a margin, the
incumbent) or by `medcot sync --force promotion`. A decision that is found again (a setting set back, everything
materialised by hand) moves nothing. An adapter that a person went back from stays candidate whatever is decided, new
verdicts included, until a person forces the decision. An adapter that is promoted is never taken back by a decision:
what it lacks is said, and `medcot rollback` is at hand.

Belongs here: the requirements, and what they add up to.
Does not: measuring (the report has the figures), links and records (promoted.py, record.py).
"""

import dataclasses
from collections.abc import Iterator
from typing import Any, Literal

from medcot_pipeline.records.figures import Estimate, Interval
from medcot_pipeline.records.report.estimates import PassRates, Preference
from medcot_pipeline.records.report.following import InstructionFollowing, Rates
from medcot_pipeline.records.report.report import Report
from medcot_pipeline.settings import PromotionSettings

Opponent = Literal["base", "incumbent"]
PERPLEXITY, PREFERENCE = "perplexity ratio", "net preference"
STRICT, ANSWERED = "constraints kept, strictly", "answers that are not empty"


@dataclasses.dataclass(frozen=True)
class Requirement:
    """One figure against one opponent: `passed` is None where it was not measured.

    `counts` is the end of the 95 % interval that is held against `limit`; `n` how many cases the figure rests on
    (groups of held-out rows, or prompts). `problem` says why it cannot pass whatever its value.
    """

    against: Opponent
    figure: str
    value: float | None
    counts: float | None
    limit: float
    passed: bool | None
    n: int | None = None
    problem: str = ""

    def __str__(self) -> str:
        """The requirement in one line."""
        name = f"{self.figure} against the {self.against}"
        if self.problem:
            return f"{name}: {self.problem}"
        if self.counts is None or self.value is None:
            other_base = ", which has another base model" if self.figure == PERPLEXITY else ""
            return f"{name}{other_base}: not measured"
        end = "upper" if self.figure == PERPLEXITY else "lower"
        wanted = "below" if self.figure == PERPLEXITY else "at least"
        return f"{name}: {self.value:.3f}, {end} end {self.counts:.3f}, wanted {wanted} {self.limit:g}"


@dataclasses.dataclass(frozen=True)
class Decision:
    """Whether to promote, and every requirement it rests on."""

    promote: bool
    requirements: tuple[Requirement, ...]
    reasons: tuple[str, ...]
    """What holds the adapter back, or was passed without having been measured."""

    def record(self) -> dict[str, Any]:
        """As plain JSON."""
        return dataclasses.asdict(self)


def decide(report: Report, incumbent: bool, settings: PromotionSettings) -> Decision:
    """Hold a report against the margins.

    Args:
        report: its `incumbent` has what was measured against the incumbent, or is None.
        incumbent: whether there is one; where it was not compared, nothing of it is measured.
        settings: the margins.
    """
    requirements = list(_against_base(report, settings))
    if incumbent:
        requirements += _against_incumbent(report, settings)
    void = report.perplexity.max_logit_difference == 0
    against = ["the adapter changes nothing"] if void else []
    allowed = []
    for each in requirements:
        if each.passed is None and each.figure != PERPLEXITY and settings.unmeasured == "allow":
            allowed.append(f"{each}, which promotion.unmeasured=allow lets pass")
        elif not each.passed:
            against.append(str(each))
    return Decision(not against, tuple(requirements), (*against, *allowed))


def _against_base(report: Report, settings: PromotionSettings) -> Iterator[Requirement]:
    following, perplexity = report.instruction_following, report.perplexity
    yield _ratio("base", perplexity.ratio, perplexity.groups, report.least_n, settings)
    preference, problem = _headline(following)
    yield _preference("base", preference, problem, report.least_n, settings)
    yield from _rates("base", following.rates, report.least_n, settings)


def _against_incumbent(report: Report, settings: PromotionSettings) -> Iterator[Requirement]:
    measured, judge = report.incumbent, report.instruction_following.judge
    ratio = measured.perplexity.ratio if measured else None
    yield _ratio("incumbent", ratio, report.perplexity.groups if measured else 0, report.least_n, settings)
    problem = "; ".join(judge.distrusted) if judge.status == "judged" else ""
    preference = measured.preference if measured else None
    yield _preference("incumbent", preference, problem, report.least_n, settings)
    yield from _rates("incumbent", measured.rates if measured else None, report.least_n, settings)


def _headline(following: InstructionFollowing) -> tuple[Preference | None, str]:
    """The preference against the base, and why it is no evidence; None where nobody gave a valid verdict."""
    if following.headline:
        return following.preference.of(following.headline), ""
    given = [each for each in (following.preference.human, following.preference.judge) if each.n]
    return (given[0], f"no headline, as {', and '.join(following.why_no_headline)}") if given else (None, "")


def _rates(against: Opponent, rates: Rates | None, least_n: int, settings: PromotionSettings) -> Iterator[Requirement]:
    strict, answered = (rates.strict, rates.answered) if rates else (None, None)
    yield _change(against, STRICT, strict, settings.min_rules_change, least_n)
    yield _change(against, ANSWERED, answered, settings.min_answered_change, least_n)


def _preference(
    against: Opponent, preference: Preference | None, problem: str, least_n: int, settings: PromotionSettings
) -> Requirement:
    net, n = (preference.net, preference.prompts) if preference else (Estimate(), 0)
    return _margin(against, PREFERENCE, net, settings.min_net_preference, n, problem or _too_few(n, least_n))


def _change(against: Opponent, figure: str, rates: PassRates | None, limit: float, least_n: int) -> Requirement:
    change, n = (rates.absolute, rates.n) if rates else (Estimate(), 0)
    return _margin(against, figure, change, limit, n, _too_few(n, least_n))


def _margin(against: Opponent, figure: str, found: Estimate, limit: float, n: int, problem: str) -> Requirement:
    if found.value is None or found.low is None:
        return Requirement(against, figure, None, None, limit, None)
    passed = found.low >= limit and not problem
    return Requirement(against, figure, found.value, found.low, limit, passed, n, problem)


def _ratio(
    against: Opponent, ratio: Interval | None, groups: int, least_n: int, settings: PromotionSettings
) -> Requirement:
    limit = settings.max_perplexity_ratio
    if ratio is None:
        return Requirement(against, PERPLEXITY, None, None, limit, None)
    problem = _too_few(groups, least_n)
    passed = ratio.high < limit and not problem
    return Requirement(against, PERPLEXITY, ratio.value, ratio.high, limit, passed, groups, problem)


def _too_few(n: int, least_n: int) -> str:
    return f"too few: {n:,} of at least {least_n:,}" if n < least_n else ""
