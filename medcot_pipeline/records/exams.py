"""Scores in multiple-choice exams: the content of exams.json.

Belongs here: its fields.
Does not belong here: asking and scoring (evaluation/exams/).
"""

from typing import Literal

from medcot_pipeline.records.figures import Count, Estimate, PairedCounts, RecordModel

Items = Literal["all", "without overlap"]
"""All questions, or those that no training row holds in whole or in part."""


class _OfItems(RecordModel):
    exam: str
    items: Items


class ArmScore(RecordModel):
    """What one arm's answers to an exam come to; an answer may be truncated and unparsed at once.

    Attributes:
        answers: as many a question as were asked for.
        right: of them.
        truncated: answers that ended at the token limit, without an end token.
        unparsed: answers without a letter that can be read, which are wrong.
        accuracy: right over all answers; with several answers a question the mean over them.
        finished_accuracy: right over all that were not truncated.
        majority: share of questions whose most frequent letters are right; None with one answer a question.
    """

    answers: Count
    right: Count
    truncated: Count
    unparsed: Count
    accuracy: Estimate
    finished_accuracy: Estimate
    majority: Estimate | None = None


class ExamScore(PairedCounts, _OfItems):
    """Both arms in one exam; the counts are of questions, and with several answers a question of majority votes.

    Attributes:
        samples: answers a question.
        base: the base's answers.
        tuned: the tuned model's.
        difference: accuracy of tuned less that of base.
    """

    samples: Count
    base: ArmScore
    tuned: ArmScore
    difference: Estimate


class Exams(RecordModel):
    """The scores of every exam.

    Attributes:
        left_out: in sentences, which items cannot be scored.
        kept_order: in sentences, which questions keep their order where options are shuffled.
    """

    status: Literal["measured", "not measured"] = "not measured"
    scores: tuple[ExamScore, ...] = ()
    left_out: tuple[str, ...] = ()
    kept_order: tuple[str, ...] = ()
