"""The report's section on instruction following: who prefers which arm, and how far that can be trusted.

Belongs here: putting verdicts of judge and people, agreement, length and pass rates side by side; the section's status.
Does not: the estimates themselves (evaluation/statistics/intervals.py, evaluation/statistics/agreement.py,
evaluation/statistics/length.py), sentences and layout (words.py, page.py).
"""

import itertools
from collections.abc import Mapping, Sequence

from medcot_pipeline.evaluation.answers.paired import compare, instruction_rates, pairs_of
from medcot_pipeline.evaluation.people.joined import joint_verdicts, settled
from medcot_pipeline.evaluation.statistics.agreement import agreement, blinding_index
from medcot_pipeline.evaluation.statistics.intervals import net_preference, pass_rate_intervals
from medcot_pipeline.evaluation.statistics.length import length_figures
from medcot_pipeline.records.answers import Answer, RulesPassed
from medcot_pipeline.records.arms import Other
from medcot_pipeline.records.judgement import JudgeRecord
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
from medcot_pipeline.records.review import HumanReviews, Reviewer
from medcot_pipeline.records.verdicts import Outcome, Verdict
from medcot_pipeline.settings import ReportSettings

LEAST_KAPPA = 0.4
"""Agreement with a person, Cohen's kappa, below which the judge's verdicts count as not validated."""


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
        settings: resamples and seed of the intervals.
    """
    judged = {verdict.prompt_id: verdict for verdict in judge.verdicts}
    joint, unresolved = joint_verdicts(human, judged)
    people = [verdict for reviewer in human.reviewers for verdict in reviewer.verdicts]
    verdicts: dict[Source, list[Verdict]] = {"human": people, "judge": list(judged.values()), "joint": joint}
    preference = Preferences(**{name: _net(given, settings) for name, given in verdicts.items()})
    reviewers = tuple(_reviewer(reviewer, judged, settings) for reviewer in human.reviewers)
    complete = bool(reviewers) and not any(reviewer.missing for reviewer in reviewers)
    settled_all = complete and 0 < len(joint) == len(people)  # neither an open dispute, nor a prompt the judge left out
    headline: Source | None = "human" if preference.human.n else "judge" if preference.judge.n else None
    headline = "joint" if settled_all else headline
    lengths = {(answer.prompt_id, answer.arm): len(answer.answer) for answer in answers}
    return InstructionFollowing(
        status="not measured" if headline is None else "measured" if complete else "provisional",
        headline=headline,
        preference=preference,
        categories={name: _by_category(prompts, given, settings) for name, given in verdicts.items() if given},
        length={name: length_figures(given, lengths) for name, given in verdicts.items() if given},
        judge=_judge(judge, reviewers),
        human=HumanSection(status=human.status, unsafe=human.unsafe),
        reviewers=reviewers,
        between=_between(human.reviewers, settings),
        unresolved=len(unresolved),
        rates=pass_rates(checks, settings),
    )


def _judge(judge: JudgeRecord, reviewers: Sequence[ReviewerSection]) -> NotJudgedSection | JudgedSection:
    if judge.status == "not configured":
        return NotJudgedSection()
    return JudgedSection(**dict(judge), validated=_validated(reviewers) if judge.verdicts else None)


def _net(verdicts: Sequence[Verdict], settings: ReportSettings) -> Preference:
    return net_preference(verdicts, settings.bootstrap_resamples, settings.seed)


def _by_category(
    prompts: Sequence[Prompt], verdicts: Sequence[Verdict], settings: ReportSettings
) -> tuple[CategoryPreference, ...]:
    """Preference within each category of prompts, by name."""
    category = {prompt.id: prompt.category for prompt in prompts}
    names = sorted({category[verdict.prompt_id] for verdict in verdicts})
    within = {name: [each for each in verdicts if category[each.prompt_id] == name] for name in names}
    return tuple(CategoryPreference(category=name, **dict(_net(given, settings))) for name, given in within.items())


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


def _validated(reviewers: Sequence[ReviewerSection]) -> bool | None:
    """Whether the judge agrees with every reviewer; None without reviewers. An undefined kappa validates nothing."""
    kappas = [reviewer.with_judge.kappa.value for reviewer in reviewers]
    return all(kappa is not None and kappa >= LEAST_KAPPA for kappa in kappas) if kappas else None


def pass_rates(checks: Sequence[RulesPassed], settings: ReportSettings, against: Other = "base") -> Rates:
    """Pass rates of both arms with intervals."""
    instructions, pairs = instruction_rates(checks, against), pairs_of(checks, against).values()
    every = [(all(other.strict.values()), all(tuned.strict.values())) for other, tuned in pairs]
    counted = {"strict": instructions.strict, "loose": instructions.loose, "all_rules": compare(every)}
    resamples, seed = settings.bootstrap_resamples, settings.seed
    return Rates(**{name: pass_rate_intervals(counts, resamples, seed) for name, counts in counted.items()})
