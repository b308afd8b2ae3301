"""Scores of both arms in exams.

Belongs here: right answers, votes, and what was truncated or unparsed, by exam.
Does not belong here: asking (asking.py), intervals (evaluation/statistics/).
"""

from collections import Counter
from collections.abc import Sequence

from medcot_pipeline.evaluation.answers.paired import compare
from medcot_pipeline.evaluation.exams.asking import AskedQuestion, ExamAnswer
from medcot_pipeline.evaluation.statistics.intervals import paired_difference, share_interval
from medcot_pipeline.evaluation.statistics.shares import clustered_difference, clustered_share
from medcot_pipeline.records.exams import ArmScore, ExamScore, Items
from medcot_pipeline.records.figures import Estimate

_OF_BOTH = ("exam", "items", "n", "samples", "base_pass", "tuned_pass", "mcnemar_p")
RESAMPLES = 10_000
SEED = 13
"""Of the bootstrap over questions."""
Answers = Sequence[ExamAnswer]
"""One arm's answers to one question."""


def exam_scores(
    base: Sequence[ExamAnswer], tuned: Sequence[ExamAnswer], questions: Sequence[AskedQuestion]
) -> list[ExamScore]:
    """Both arms by exam, over all items and over those that training rows do not hold.

    Args:
        base: the base's answers to all questions.
        tuned: the tuned model's.
        questions: the items asked, and whether training rows hold them.
    """
    of_base, of_tuned = _by_question(base), _by_question(tuned)
    rows = []
    for exam in sorted({question.exam for question in questions}):
        items = [question for question in questions if question.exam == exam]
        which: dict[Items, list[AskedQuestion]] = {
            "all": items,
            "without overlap": [item for item in items if not item.overlaps],
        }
        for name, some in which.items():
            pairs = [(of_base[exam, item.id], of_tuned[exam, item.id]) for item in some]
            rows.append(_score(exam, name, pairs))
    return rows


def score_rows(scores: Sequence[ExamScore]) -> list[dict[str, str | int | float | None]]:
    """The scores as a flat table."""
    rows = []
    for score in scores:
        row = score.model_dump(include={*_OF_BOTH})
        for arm in ("base", "tuned"):
            of_arm: ArmScore = getattr(score, arm)
            row |= {f"{arm}_{name}": getattr(of_arm, name) for name in ("truncated", "unparsed")}
            row |= {f"{arm}_accuracy": of_arm.accuracy.value, f"{arm}_finished": of_arm.finished_accuracy.value}
        rows.append(row | {"difference": score.difference.value})
    return rows


def voted(answers: Answers) -> bool:
    """Whether the letters that most answers to a question choose are right.

    Answers without a letter have no vote; a tie, and no vote at all, are wrong.
    """
    votes = Counter(answer.chosen for answer in answers if answer.chosen is not None).most_common(2)
    if not votes or (len(votes) == 2 and votes[0][1] == votes[1][1]):
        return False
    return any(answer.right for answer in answers if answer.chosen == votes[0][0])


def _score(exam: str, items: Items, pairs: Sequence[tuple[Answers, Answers]]) -> ExamScore:
    counts = compare([(voted(base), voted(tuned)) for base, tuned in pairs])
    samples = len(pairs[0][0]) if pairs else 0
    difference = paired_difference(counts)
    if samples > 1:
        shares = [(_share(base), _share(tuned)) for base, tuned in pairs]
        difference = clustered_difference(shares, RESAMPLES, SEED)
    return ExamScore(
        exam=exam,
        items=items,
        **dict(counts),
        samples=samples,
        base=_arm([base for base, _ in pairs], samples),
        tuned=_arm([tuned for _, tuned in pairs], samples),
        difference=difference,
    )


def _arm(answers: Sequence[Answers], samples: int) -> ArmScore:
    every = [answer for of_question in answers for answer in of_question]
    finished = [[answer for answer in of_question if answer.finished] for of_question in answers]
    votes = sum(map(voted, answers))
    return ArmScore(
        answers=len(every),
        right=sum(answer.right for answer in every),
        truncated=sum(not answer.finished for answer in every),
        unparsed=sum(answer.chosen is None for answer in every),
        accuracy=_accuracy(answers, samples),
        finished_accuracy=_accuracy(finished, samples),
        majority=share_interval(votes, len(answers)) if samples > 1 else None,
    )


def _accuracy(answers: Sequence[Answers], samples: int) -> Estimate:
    """Right over all answers: with one a question by the score interval, with several by a bootstrap over questions."""
    counts = [(sum(answer.right for answer in each), len(each)) for each in answers]
    if samples > 1:
        return clustered_share(counts, RESAMPLES, SEED)
    return share_interval(sum(right for right, _ in counts), sum(asked for _, asked in counts))


def _share(answers: Answers) -> float:
    return sum(answer.right for answer in answers) / len(answers)


def _by_question(answers: Sequence[ExamAnswer]) -> dict[tuple[str, str], list[ExamAnswer]]:
    found: dict[tuple[str, str], list[ExamAnswer]] = {}
    for answer in answers:
        found.setdefault((answer.exam, answer.id), []).append(answer)
    return found
