"""Whether an adapter takes over: its report held against set margins.

An adapter is a candidate until it beats the base and the incumbent: the perplexity ratio's interval lies below its
limit, and neither net preference nor the rules may have become worse by more than the margin, by the lower end of their
intervals. What was not measured passes or holds the adapter back, as `promotion.unmeasured` says; but an incumbent of
another base model, which cannot be compared at all, is never replaced by a decision: who wants to begin anew removes
its link.

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
from medcot_pipeline.records.report.report import IncumbentSection, Report
from medcot_pipeline.settings import PromotionSettings

Opponent = Literal["base", "incumbent"]


@dataclasses.dataclass(frozen=True)
class Requirement:
    """One figure against one opponent: `passed` is None where it was not measured.

    `counts` is the end of the 95 % interval that is held against `limit`.
    """

    against: Opponent
    figure: str
    value: float | None
    counts: float | None
    limit: float
    passed: bool | None

    def __str__(self) -> str:
        """The requirement in one line."""
        name = f"{self.figure} against the {self.against}"
        if self.counts is None and self.value is not None and self.figure == PERPLEXITY:
            return f"{name}: {self.value:.3f} without an interval, as too few rows were measured"
        if self.counts is None or self.value is None:
            other_base = ", which has another base model" if self.figure == PERPLEXITY else ""
            return f"{name}{other_base}: not measured"
        end = "upper" if self.figure == PERPLEXITY else "lower"
        wanted = "below" if self.figure == PERPLEXITY else "at least"
        return f"{name}: {self.value:.3f}, {end} end {self.counts:.3f}, wanted {wanted} {self.limit:g}"


PERPLEXITY, PREFERENCE, RULES = "perplexity ratio", "net preference", "pass rate of the rules"


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
        requirements += _against_incumbent(report.incumbent, settings)
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
    following = report.instruction_following
    headline = following.headline
    yield _ratio("base", report.perplexity.ratio, settings)
    yield _margin("base", PREFERENCE, following.preference.of(headline).net if headline else None, settings)
    yield _margin("base", RULES, following.rates.all_rules.absolute, settings)


def _against_incumbent(measured: IncumbentSection | None, settings: PromotionSettings) -> Iterator[Requirement]:
    preference, rates = (measured.preference, measured.rates) if measured else (None, None)
    yield _ratio("incumbent", measured.perplexity.ratio if measured else None, settings)
    yield _margin("incumbent", PREFERENCE, preference.net if preference else None, settings)
    yield _margin("incumbent", RULES, rates.all_rules.absolute if rates else None, settings)


def _ratio(against: Opponent, ratio: Interval | None, settings: PromotionSettings) -> Requirement:
    value, high = (ratio.value, ratio.high) if ratio else (None, None)
    limit = settings.max_perplexity_ratio
    return Requirement(against, PERPLEXITY, value, high, limit, None if high is None else high < limit)


def _margin(against: Opponent, figure: str, interval: Estimate | None, settings: PromotionSettings) -> Requirement:
    limit = settings.min_net_preference if figure == PREFERENCE else settings.min_rules_change
    value, low = (interval.value, interval.low) if interval else (None, None)
    return Requirement(against, figure, value, low, limit, None if low is None else low >= limit)
