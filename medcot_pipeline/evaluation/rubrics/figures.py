"""What grades add up to: scores of prompts, and what they say of two arms.

A prompt's score is that of HealthBench (Arora et al. 2025, arXiv:2505.08775): points of the criteria that its answer
meets, over the points above 0 that were to be had. A criterion that could not be graded leaves both sums. A score is at
most 1, and below 0 where harm outweighs. HealthBench clips the mean to 0..1; here it stands as it is, so that harm that
brings a mean below 0 is seen, and the difference of the means is the mean of the differences.

Belongs here: pure functions over grades.
Does not belong here: grading (grading.py), intervals (evaluation/statistics/ratios.py).
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

from medcot_pipeline.evaluation.rubrics.files import AXES
from medcot_pipeline.evaluation.statistics.ratios import Parts, paired_ratios
from medcot_pipeline.records.arms import Arm, Other
from medcot_pipeline.records.prompts import Prompt
from medcot_pipeline.records.rubrics.graded import GradedArm, GroupScore, PromptScore, RubricComparison
from medcot_pipeline.records.rubrics.rubric import Grade
from medcot_pipeline.settings import RubricSettings

ByAnswer = Mapping[tuple[str, Arm], Sequence[Grade]]
"""Grades by prompt and arm."""


def score_parts(grades: Iterable[Grade]) -> tuple[int, int]:
    """Points of the criteria met, and points above 0 to be had, of the criteria that could be graded."""
    gradable = [grade for grade in grades if grade.met is not None]
    met = sum(grade.points for grade in gradable if grade.met)
    return met, sum(grade.points for grade in gradable if grade.points > 0)


def score(grades: Iterable[Grade]) -> float | None:
    """The score of one answer; None where no criterion with points above 0 could be graded."""
    met, to_be_had = score_parts(grades)
    return met / to_be_had if to_be_had else None


def by_answer(grades: Iterable[Grade]) -> dict[tuple[str, Arm], list[Grade]]:
    """Grades by prompt and arm, in their order."""
    found: dict[tuple[str, Arm], list[Grade]] = {}
    for grade in grades:
        found.setdefault((grade.prompt_id, grade.arm), []).append(grade)
    return found


def compare(
    prompts: Sequence[Prompt], grades: Sequence[Grade], settings: RubricSettings, against: Other = "base"
) -> RubricComparison:
    """Tuned against another arm, over the prompts that have a score in both.

    Args:
        prompts: those that were graded.
        grades: of both arms.
        settings: resamples and seed.
        against: the other arm.
    """
    answers = by_answer(grades)
    scores = {
        prompt.id: (score(answers.get((prompt.id, against), ())), score(answers.get((prompt.id, "tuned"), ())))
        for prompt in prompts
    }
    paired = [prompt for prompt in prompts if None not in scores[prompt.id]]

    def mean_of(group: str, within: Sequence[Prompt]) -> GroupScore:
        arms = zip(*(scores[prompt.id] for prompt in within), strict=True) if within else ((), ())
        other, tuned = ([(each or 0.0, 1.0) for each in arm] for arm in arms)
        return _group(group, other, tuned, settings)

    def means_by(of: Callable[[Prompt], str]) -> tuple[GroupScore, ...]:
        names = dict.fromkeys(of(prompt) for prompt in paired)
        return tuple(mean_of(name, [prompt for prompt in paired if of(prompt) == name]) for name in names)

    return RubricComparison(
        against=against,
        scores=tuple(PromptScore(prompt_id=name, other=pair[0], tuned=pair[1]) for name, pair in scores.items()),
        overall=mean_of("all", paired),
        by_axis=tuple(_of_axis(axis, paired, answers, settings, against) for axis in AXES),
        by_set=means_by(lambda prompt: prompt.set),
        by_category=means_by(lambda prompt: prompt.category),
        by_language=means_by(lambda prompt: prompt.language),
    )


def graded_arm(arm: Arm, grades: Sequence[Grade], empty: int) -> GradedArm:
    """How far an arm's answers could be graded.

    Args:
        arm: whose.
        grades: those of the arm are taken.
        empty: its answers that are empty.
    """
    own = [grade for grade in grades if grade.arm == arm]
    why, answers = Counter(grade.ungradable for grade in own), by_answer(own)
    return GradedArm(
        arm=arm,
        answers=len(answers),
        empty=empty,
        criteria=len(own),
        ungradable=len(own) - why[""],
        not_told=why["cannot be told"],
        not_quoted=why["evidence not in the answer"],
        no_reply=why["no grade in the reply"],
        refused=why["call refused"],
        unscored=sum(score(each) is None for each in answers.values()),
    )


def _of_axis(
    axis: str, prompts: Sequence[Prompt], answers: ByAnswer, settings: RubricSettings, against: Other
) -> GroupScore:
    """Points met over points to be had of one axis' criteria, in the prompts that have such criteria."""
    other: list[Parts] = []
    tuned: list[Parts] = []
    for prompt in prompts:
        both = [[grade for grade in answers[prompt.id, arm] if grade.axis == axis] for arm in (against, "tuned")]
        if all(any(grade.met is not None for grade in grades) for grades in both):
            other.append(score_parts(both[0]))
            tuned.append(score_parts(both[1]))
    return _group(axis, other, tuned, settings)


def _group(group: str, other: Sequence[Parts], tuned: Sequence[Parts], settings: RubricSettings) -> GroupScore:
    figures = paired_ratios(other, tuned, settings.bootstrap_resamples, settings.seed)
    return GroupScore(group=group, n=len(other), other=figures[0], tuned=figures[1], difference=figures[2])
