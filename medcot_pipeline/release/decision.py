"""Which adapter takes over: the decision, by comparing its report with set margins.

An adapter is a candidate until it beats the base and the incumbent: the perplexity ratio's interval lies below its
limit, and neither net preference, nor the constraints kept, nor the share of answers that are not empty may have become
worse by more than the margin, by the lower end of their intervals. What was measured on fewer than `report.least_n`
cases, or by verdicts that are no evidence, holds the adapter back; what was not measured passes or holds it back, as
`promotion.unmeasured` says; but an incumbent of another base model, which cannot be compared at all, is never replaced
by a decision: who wants to start over removes its link.

A decision takes effect once, after it is published; the next pass sees to that if its own was killed, unless another
adapter was promoted meanwhile. It is made again where its inputs change (the report, the adapter, a margin, the
incumbent) or by `medcot sync --force promotion`. A decision that is found again (a setting set back, everything
materialised by hand) moves nothing. An adapter that a person rolled back stays a candidate whatever is decided, new
verdicts included, until a person forces the decision. An adapter that is promoted is never taken back by a decision:
what it lacks is said, and `medcot rollback` is at hand.

Belongs here: the requirements, and what they add up to.
Does not belong here: measuring (the report has the figures), links and records (promoted.py, record.py).
"""

import dataclasses
from collections.abc import Iterator

from medcot_pipeline.records.figures import Estimate, Interval
from medcot_pipeline.records.report.decision import Decision, Figure, Opponent, Requirement
from medcot_pipeline.records.report.estimates import PassRates, Preference
from medcot_pipeline.records.report.following import InstructionFollowing, Rates
from medcot_pipeline.records.report.report import IncumbentSection, PerplexitySection
from medcot_pipeline.records.report.sentences import Bilingual
from medcot_pipeline.settings import PromotionSettings

NAMES: dict[Opponent | Figure, str] = {
    "base": "基础模型",
    "incumbent": "现用适配器",
    "perplexity ratio": "困惑度之比",
    "net preference": "净偏好",
    "constraints kept, strictly": "严格遵守的指令",
    "answers that are not empty": "非空回答",
}
NO_INTERVAL = Bilingual(en="too few rows for an interval", zh="样本太少，没有区间")
NOTHING_CHANGES = Bilingual(en="the adapter changes nothing", zh="适配器不起作用")


@dataclasses.dataclass(frozen=True)
class Evidence:
    """What a decision rests on.

    Attributes:
        perplexity: of base and tuned.
        following: who prefers which arm, and the rates of both.
        beside: what was measured against the incumbent; None where nothing was.
        incumbent: whether there is one; where it was not compared, nothing of it is measured.
        least_n: cases below which a figure promotes nothing.
    """

    perplexity: PerplexitySection
    following: InstructionFollowing
    beside: IncumbentSection | None
    incumbent: bool
    least_n: int


def decide(evidence: Evidence, settings: PromotionSettings) -> Decision:
    """Compare the evidence with the margins, and decide whether the candidate is promoted."""
    requirements = list(_against_base(evidence, settings))
    if evidence.incumbent:
        requirements += _against_incumbent(evidence, settings)
    against = [NOTHING_CHANGES] if evidence.perplexity.max_logit_difference == 0 else []
    allowed = []
    for each in requirements:
        said = in_words(each)
        if each.passed is None and each.figure != "perplexity ratio" and settings.unmeasured == "allow":
            en = f"{said.en}, and promotion.unmeasured=allow lets that pass"
            allowed.append(Bilingual(en=en, zh=f"{said.zh}（promotion.unmeasured=allow 允许通过）"))
        elif not each.passed:
            against.append(said)
    return Decision(promote=not against, requirements=tuple(requirements), reasons=(*against, *allowed))


def in_words(each: Requirement) -> Bilingual:
    """A requirement in one line."""
    en, zh = f"{each.figure} against the {each.against}", f"与{NAMES[each.against]}相比，{NAMES[each.figure]}"
    ratio = each.figure == "perplexity ratio"
    if each.problem:
        return Bilingual(en=f"{en}: {each.problem.en}", zh=f"{zh}：{each.problem.zh}")
    if each.counts is None or each.value is None:
        other_en, other_zh = (", which has another base model", "（另一个基础模型）") if ratio else ("", "")
        return Bilingual(en=f"{en}{other_en}: not measured", zh=f"{zh}{other_zh}：未测量")
    end_en, end_zh = ("upper", "上限") if ratio else ("lower", "下限")
    wanted_en, wanted_zh = ("below", "低于") if ratio else ("at least", "不低于")
    return Bilingual(
        en=f"{en}: {each.value:.3f}, {end_en} end {each.counts:.3f}, required: {wanted_en} {each.limit:g}",
        zh=f"{zh}：{each.value:.3f}，区间{end_zh} {each.counts:.3f}，要求{wanted_zh} {each.limit:g}",
    )


def _against_base(evidence: Evidence, settings: PromotionSettings) -> Iterator[Requirement]:
    following, perplexity, least_n = evidence.following, evidence.perplexity, evidence.least_n
    yield _ratio("base", perplexity.ratio, perplexity.groups, least_n, settings)
    preference, problem = _headline(following)
    yield _preference("base", preference, problem, least_n, settings)
    yield from _rates("base", following.rates, least_n, settings)


def _against_incumbent(evidence: Evidence, settings: PromotionSettings) -> Iterator[Requirement]:
    measured, judge, least_n = evidence.beside, evidence.following.judge, evidence.least_n
    ratio, groups = (measured.perplexity.ratio, evidence.perplexity.groups) if measured else (None, 0)
    yield _ratio("incumbent", ratio, groups, least_n, settings)
    problem = None
    if judge.status == "judged" and judge.distrusted:
        said = judge.distrusted
        en, zh = "; ".join(each.en for each in said), "；".join(each.zh for each in said)
        problem = Bilingual(en=f"no evidence, as {en}", zh=f"不能作为依据：{zh}")
    preference, rates = (measured.preference, measured.rates) if measured else (None, None)
    yield _preference("incumbent", preference, problem, least_n, settings)
    yield from _rates("incumbent", rates, least_n, settings)


def _headline(following: InstructionFollowing) -> tuple[Preference | None, Bilingual | None]:
    """The preference against the base, and why it is no evidence; None where nobody gave a valid verdict."""
    if following.headline:
        return following.preference.of(following.headline), None
    given = [each for each in (following.preference.human, following.preference.judge) if each.n]
    why = following.why_no_headline
    if not given or not why:
        return None, None
    return given[0], Bilingual(en=f"no headline, as {why.en.rstrip('.')}", zh=f"尚无结论：{why.zh.rstrip('。')}")


def _rates(against: Opponent, rates: Rates | None, least_n: int, settings: PromotionSettings) -> Iterator[Requirement]:
    strict, answered = (rates.strict, rates.answered) if rates else (None, None)
    yield _change(against, "constraints kept, strictly", strict, settings.min_rules_change, least_n)
    yield _change(against, "answers that are not empty", answered, settings.min_answered_change, least_n)


def _preference(
    against: Opponent,
    preference: Preference | None,
    problem: Bilingual | None,
    least_n: int,
    settings: PromotionSettings,
) -> Requirement:
    net, n = (preference.net, preference.prompts) if preference else (Estimate(), 0)
    problem = problem or _too_few(n, least_n)
    return _margin(against, "net preference", net, settings.min_net_preference, n, problem)


def _change(against: Opponent, figure: Figure, rates: PassRates | None, limit: float, least_n: int) -> Requirement:
    change, n = (rates.absolute, rates.n) if rates else (Estimate(), 0)
    return _margin(against, figure, change, limit, n, _too_few(n, least_n))


def _margin(
    against: Opponent, figure: Figure, found: Estimate, limit: float, n: int, problem: Bilingual | None
) -> Requirement:
    """What was measured is held against its limit by the lower end; what has a problem is missed whatever it is."""
    measured = found.low is not None
    passed = found.low >= limit and problem is None if found.low is not None else None
    return Requirement(
        against=against,
        figure=figure,
        n=n,
        value=found.value,
        counts=found.low,
        limit=limit,
        passed=passed,
        problem=problem if measured else None,
    )


def _ratio(
    against: Opponent, ratio: Interval | None, groups: int, least_n: int, settings: PromotionSettings
) -> Requirement:
    value, high = (ratio.value, ratio.high) if ratio else (None, None)
    limit, problem = settings.max_perplexity_ratio, _too_few(groups, least_n) or (NO_INTERVAL if high is None else None)
    return Requirement(
        against=against,
        figure="perplexity ratio",
        n=groups,
        value=value,
        counts=high,
        limit=limit,
        passed=None if value is None else high is not None and high < limit and problem is None,
        problem=None if value is None else problem,
    )


def _too_few(n: int, least_n: int) -> Bilingual | None:
    if n >= least_n:
        return None
    return Bilingual(en=f"too few: {n:,} of at least {least_n:,}", zh=f"样本太少：{n:,}，至少需要 {least_n:,}")
