"""The report's section on instruction following: who prefers which arm, and how far that can be trusted.

Belongs here: putting verdicts of judge and people, agreement, length and pass rates side by side; whose verdicts the
headline stands on.
Does not belong here: the estimates themselves (evaluation/statistics/), sentences and layout (words/, page.py).
"""

import itertools
from collections.abc import Mapping, Sequence

from medcot_pipeline.evaluation.answers.paired import answered, instruction_rates
from medcot_pipeline.evaluation.people.joined import settled, two_looks
from medcot_pipeline.evaluation.statistics.adjudicated import adjudicated_preference
from medcot_pipeline.evaluation.statistics.agreement import agreement, blinding_index
from medcot_pipeline.evaluation.statistics.intervals import pass_rate_intervals
from medcot_pipeline.evaluation.statistics.length import length_figures
from medcot_pipeline.evaluation.statistics.preference import net_preference
from medcot_pipeline.records.answers import Answer, RulesPassed
from medcot_pipeline.records.arms import Other
from medcot_pipeline.records.judgement import JudgeRecord, failed_gates
from medcot_pipeline.records.prompts import Prompt
from medcot_pipeline.records.report.estimates import Agreement, Preference
from medcot_pipeline.records.report.following import (
    CategoryPreference,
    HumanSection,
    InstructionFollowing,
    JudgedSection,
    NotJudgedSection,
    Preferences,
    Rates,
    ReviewersAgreement,
    ReviewerSection,
    SecondLookDone,
    Source,
)
from medcot_pipeline.records.report.sentences import Bilingual
from medcot_pipeline.records.review import HumanReviews, Reviewer
from medcot_pipeline.records.verdicts import Outcome, Verdict
from medcot_pipeline.settings import ReportSettings

LEAST_KAPPA = 0.4
"""Lower end of Cohen's kappa with a person that validates the judge."""
LEAST_VALIDATED = 30
"""Prompts that judge and person both gave a verdict on, below which nobody can say whether they agree."""


def instruction_following(
    prompts: Sequence[Prompt],
    answers: Sequence[Answer],
    judge: JudgeRecord,
    human: HumanReviews,
    checks: Sequence[RulesPassed],
    settings: ReportSettings,
) -> InstructionFollowing:
    """Everything that the report says about instruction following; nothing of it comes from perplexity.

    Args:
        prompts: the frozen prompts.
        answers: of both arms.
        judge: the AI judge's verdicts, or that there is no judge.
        human: people's verdicts.
        checks: which rules the answers pass.
        settings: resamples and seed of the agreement's intervals, and the least n of a headline.
    """
    judged = {verdict.prompt_id: verdict for verdict in judge.verdicts}
    complete = [reviewer for reviewer in human.reviewers if not reviewer.missing]
    people = [verdict for reviewer in complete or human.reviewers for verdict in reviewer.verdicts]
    verdicts: dict[Source, list[Verdict]] = {"human": people, "judge": list(judged.values())}
    looks, still_open = two_looks(human, judged)
    preference = Preferences(
        human=net_preference(people),
        judge=net_preference(verdicts["judge"]),
        adjudicated=adjudicated_preference(looks),
    )
    reviewers = tuple(_reviewer(reviewer, judged, settings) for reviewer in human.reviewers)
    section = _judge(judge, reviewers)
    against: dict[Source, list[Bilingual]] = {
        "human": _against_people(human, preference.human, settings.least_n),
        "judge": _against_judge(section, preference.judge, settings.least_n),
    }
    headline = next((source for source, reasons in against.items() if not reasons), None)
    compared = preference.human.n or preference.judge.n
    lengths = {(answer.prompt_id, answer.arm): len(answer.answer) for answer in answers}
    return InstructionFollowing(
        status="measured" if headline == "human" else "provisional" if compared else "not measured",
        headline=headline,
        why_no_headline=None if headline else _sentence([*against["human"], *against["judge"]]),
        preference=preference,
        categories={name: _by_category(prompts, given) for name, given in verdicts.items() if given},
        length={name: length_figures(given, lengths) for name, given in verdicts.items() if given},
        judge=section,
        human=HumanSection(status=human.status, unsafe=human.unsafe),
        reviewers=reviewers,
        between=_between(human.reviewers, settings),
        unresolved=still_open,
        rates=pass_rates(checks),
    )


def _sentence(reasons: Sequence[Bilingual]) -> Bilingual:
    return Bilingual(en=f"{'; '.join(each.en for each in reasons)}.", zh=f"{'；'.join(each.zh for each in reasons)}。")


def _against_people(human: HumanReviews, preference: Preference, least_n: int) -> list[Bilingual]:
    """Why people's first look is not the headline."""
    if not human.reviewers:
        return [Bilingual(en="nobody reviewed", zh="没有人盲评")]
    if all(reviewer.missing for reviewer in human.reviewers):
        return [
            Bilingual(
                en=f"the review of {each.reviewer} is not complete ({each.missing:,} items are missing)",
                zh=f"{each.reviewer} 的盲评尚未完成（缺 {each.missing:,} 项）",
            )
            for each in human.reviewers
        ]
    return _too_few(Bilingual(en="people", zh="盲评"), preference.prompts, least_n)


def _against_judge(judge: NotJudgedSection | JudgedSection, preference: Preference, least_n: int) -> list[Bilingual]:
    """Why the judge's verdicts are not the headline where people's are not."""
    if judge.status == "not configured":
        return [Bilingual(en="no AI judge is configured", zh="没有配置 AI 评审")]
    if not preference.prompts:
        return [Bilingual(en="the AI judge gave no valid verdict", zh="AI 评审没有给出有效结论")]
    few = _too_few(Bilingual(en="the AI judge", zh="AI 评审"), preference.prompts, least_n)
    return [*few, *judge.distrusted]


def _too_few(whose: Bilingual, prompts: int, least_n: int) -> list[Bilingual]:
    if prompts >= least_n:
        return []
    return [
        Bilingual(
            en=f"{whose.en} compared {prompts:,} prompts, fewer than {least_n:,}",
            zh=f"{whose.zh}只比较了 {prompts:,} 个问题，少于 {least_n:,} 个",
        )
    ]


def _judge(judge: JudgeRecord, reviewers: Sequence[ReviewerSection]) -> NotJudgedSection | JudgedSection:
    if judge.status == "not configured":
        return NotJudgedSection()
    validated, validation = _validated(reviewers)
    distrusted = []
    if failed := ", ".join(gate.name for gate in failed_gates(judge)):
        en = f"the AI judge does not pass its gates ({failed})"
        distrusted.append(Bilingual(en=en, zh=f"AI 评审未通过检验（{failed}）"))
    if validated is False:
        en, zh = f"people do not confirm the AI judge: {validation.en}", f"人工盲评不支持 AI 评审：{validation.zh}"
        distrusted.append(Bilingual(en=en, zh=zh))
    return JudgedSection(**dict(judge), validated=validated, validation=validation, distrusted=tuple(distrusted))


def _by_category(prompts: Sequence[Prompt], verdicts: Sequence[Verdict]) -> tuple[CategoryPreference, ...]:
    """Preference within each category of prompts, by name."""
    category = {prompt.id: prompt.category for prompt in prompts}
    names = sorted({category[verdict.prompt_id] for verdict in verdicts})
    within = {name: [each for each in verdicts if category[each.prompt_id] == name] for name in names}
    return tuple(CategoryPreference(category=name, **dict(net_preference(given))) for name, given in within.items())


def _reviewer(reviewer: Reviewer, judged: Mapping[str, Verdict], settings: ReportSettings) -> ReviewerSection:
    """One reviewer: what they gave, how they agree with the judge and with themselves, whether they were blind."""
    look = reviewer.second_look
    pairs = [
        (verdict.outcome, settled(judged[verdict.prompt_id].outcome))
        for verdict in reviewer.verdicts
        if verdict.prompt_id in judged and judged[verdict.prompt_id].outcome != "invalid"
    ]
    return ReviewerSection(
        reviewer=reviewer.reviewer,
        qualification=reviewer.qualification,
        missing=reviewer.missing,
        minutes=reviewer.minutes,
        verdicts=reviewer.verdicts,
        with_judge=_agreement(pairs, settings),
        with_self=_agreement(reviewer.repeated, settings),
        blinding=blinding_index(reviewer.guesses),
        second_look=SecondLookDone(prompts=look.items, done=len(look.verdicts)) if look else None,
    )


def _between(reviewers: Sequence[Reviewer], settings: ReportSettings) -> tuple[ReviewersAgreement, ...]:
    """Agreement of every two reviewers."""
    found = []
    for one, other in itertools.combinations(reviewers, 2):
        said, beside = ({each.prompt_id: each.outcome for each in reviewer.verdicts} for reviewer in (one, other))
        pairs = [(said[prompt], beside[prompt]) for prompt in said if prompt in beside]
        names = (one.reviewer, other.reviewer)
        found.append(ReviewersAgreement(reviewers=names, **dict(_agreement(pairs, settings))))
    return tuple(found)


def _agreement(pairs: Sequence[tuple[Outcome, Outcome]], settings: ReportSettings) -> Agreement:
    return agreement(pairs, settings.bootstrap_resamples, settings.seed)


def _validated(reviewers: Sequence[ReviewerSection]) -> tuple[bool | None, Bilingual]:
    """Whether the judge agrees with every reviewer who saw enough prompts, and why, with the figures.

    None where nobody saw enough. An undefined kappa validates nothing.
    """
    said = [_agrees(each) for each in reviewers if each.with_judge.n]
    lows = [each.with_judge.kappa.low for each in reviewers if each.with_judge.n >= LEAST_VALIDATED]
    validated = all(low is not None and low >= LEAST_KAPPA for low in lows) if lows else None
    en = "; ".join(each.en for each in said) or "nobody gave a verdict beside the judge"
    zh = "；".join(each.zh for each in said) or "没有人与它评判同样的问题"
    return validated, Bilingual(
        en=f"{en} (wanted: a lower end of at least {LEAST_KAPPA} on at least {LEAST_VALIDATED} prompts)",
        zh=f"{zh}（要求：区间下限不低于 {LEAST_KAPPA}，且不少于 {LEAST_VALIDATED} 个问题）",
    )


def _agrees(reviewer: ReviewerSection) -> Bilingual:
    found, name = reviewer.with_judge, reviewer.reviewer
    kappa, low, high = found.kappa.value, found.kappa.low, found.kappa.high
    en, zh = "kappa is not defined", "kappa 无定义"
    if kappa is not None:
        en = f"kappa {kappa:.2f} (95 % {low:.2f} to {high:.2f})"
        zh = f"kappa {kappa:.2f}（95% 区间 {low:.2f} 至 {high:.2f}）"
    return Bilingual(en=f"{en} with {name} on {found.n:,} prompts", zh=f"与{name}在 {found.n:,} 个问题上 {zh}")


def pass_rates(checks: Sequence[RulesPassed], against: Other = "base") -> Rates:
    """Pass rates of both arms with intervals."""
    instructions = instruction_rates(checks, against)
    return Rates(
        strict=pass_rate_intervals(instructions.strict),
        loose=pass_rate_intervals(instructions.loose),
        answered=pass_rate_intervals(answered(checks, against)),
    )
