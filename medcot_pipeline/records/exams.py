"""Scores in multiple-choice exams: the content of exams.json.

Belongs here: its fields.
Does not: asking and scoring (evaluation/exams/).
"""

from typing import Literal

from medcot_pipeline.records.figures import Count, PairedCounts, RecordModel

Items = Literal["all", "without overlap"]
"""All questions, or those that no training row holds in whole or in part."""


class _OfItems(RecordModel):
    exam: str
    items: Items


class ExamScore(PairedCounts, _OfItems):
    """Right answers of both arms; `base_unparsed` and `tuned_unparsed` are those without a letter, which are wrong."""

    base_unparsed: Count
    tuned_unparsed: Count


class Exams(RecordModel):
    """The scores of every exam; `left_out` says in sentences which items cannot be scored."""

    status: Literal["measured", "not measured"] = "not measured"
    scores: tuple[ExamScore, ...] = ()
    left_out: tuple[str, ...] = ()
