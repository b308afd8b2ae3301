"""Scores of exams: votes, what is cut off, intervals, and what training rows hold."""

from collections.abc import Sequence
from pathlib import Path

import polars as pl
import pytest

from medcot_pipeline.corpus.normalize.text import comparison_key
from medcot_pipeline.evaluation.exams.asking import AskedQuestion, ExamAnswer, asked_questions
from medcot_pipeline.evaluation.exams.checks import every_question_answered
from medcot_pipeline.evaluation.exams.files import ExamQuestion
from medcot_pipeline.evaluation.exams.job import ANSWERS, QUESTIONS
from medcot_pipeline.evaluation.exams.scores import exam_scores, score_rows, voted
from medcot_pipeline.records.exams import ExamScore
from medcot_pipeline.support.table_files import write_jsonl

STEM = "上消化道出血的患者出现黑便时，最先应当采取的处理措施是哪一项"


def answers(*chosen: Sequence[str | None], cut_off: int = 0) -> list[ExamAnswer]:
    """Answers to questions #0, #1, ... whose key is A; the last `cut_off` of each question are not finished."""
    return [
        ExamAnswer("exam.jsonl", f"#{n}", "", letters, letters == "A", number < len(given) - cut_off, number)
        for n, given in enumerate(chosen)
        for number, letters in enumerate(given)
    ]


def scored(base: list[ExamAnswer], tuned: list[ExamAnswer]) -> ExamScore:
    questions = [AskedQuestion("exam.jsonl", id, overlaps=False) for id in dict.fromkeys(each.id for each in base)]
    return exam_scores(base, tuned, questions)[0]


def test_scores_pair_the_arms_and_leave_out_what_training_rows_hold() -> None:
    questions = [ExamQuestion("exam.jsonl", f"#{n}", f"{STEM}{n}" if n == 0 else f"题目{n}", "", "A") for n in range(3)]
    train = pl.DataFrame({"row_id": ["r"], "split": ["train"], "key": [comparison_key(f"{STEM}0")]})
    every, clean = exam_scores(answers("A", "B", [None]), answers("A", "A", "B"), asked_questions(questions, train))
    assert (every.items, every.n, every.base_pass, every.tuned_pass) == ("all", 3, 1, 2)
    assert (every.tuned_only, every.base.unparsed, every.tuned.unparsed) == (1, 1, 0)
    assert (clean.items, clean.n, clean.base_pass, clean.tuned_pass) == ("without overlap", 2, 0, 1)


@pytest.mark.parametrize(
    ("chosen", "right"),
    [("AAB", True), ("ABB", False), ("AB", False), (["A", None, None], True), ([None, None], False), ("A", True)],
)
def test_the_most_frequent_letters_win_and_a_tie_is_wrong(chosen: Sequence[str | None], right: bool) -> None:
    assert voted(answers(chosen)) is right


def test_what_is_cut_off_is_counted_and_left_out_of_accuracy_among_finished_answers() -> None:
    cut = [*answers("A", "A", "B"), *answers("", "", "", [None], [None], cut_off=1)]
    score = scored(cut, answers("A", "A", "A", "A", "A"))
    assert (score.base.answers, score.base.truncated, score.base.unparsed, score.base.right) == (5, 2, 2, 2)
    assert score.base.accuracy.value == pytest.approx(0.4)
    assert score.base.finished_accuracy.value == pytest.approx(2 / 3)
    nothing = scored(answers([None], cut_off=1), answers("A"))
    assert nothing.base.finished_accuracy.value is None


def test_one_answer_a_question_has_a_score_interval_also_where_all_are_right() -> None:
    score = scored(answers(*"A" * 12), answers(*"A" * 12))
    assert (score.samples, score.base.majority) == (1, None)
    assert score.tuned.accuracy.low == pytest.approx(0.7575, abs=1e-3) and score.tuned.accuracy.high == 1
    assert score.difference.value == 0
    assert (
        score.difference.low is not None
        and score.difference.low < -0.1
        and score.difference.high == -score.difference.low
    )


def test_several_answers_a_question_give_their_mean_and_their_vote() -> None:
    score = scored(answers("AAB", "ABB", "BBB", "AAA"), answers("AAA", "AAB", "BBB", "AAA"))
    assert (score.samples, score.n, score.base.answers, score.base.right) == (3, 4, 12, 6)
    assert (score.base_pass, score.tuned_pass, score.tuned_only) == (2, 3, 1), "majority votes"
    assert score.base.accuracy.value == 0.5 and score.base.majority is not None and score.base.majority.value == 0.5
    assert score.base.accuracy.low is not None and score.base.accuracy.low < 0.25, "questions vary, not answers"
    assert score.difference.value == pytest.approx(2 / 12)
    assert score == scored(answers("AAB", "ABB", "BBB", "AAA"), answers("AAA", "AAB", "BBB", "AAA")), "by a seed"


def test_scores_are_a_flat_table() -> None:
    (row,) = score_rows([scored(answers("A", "B"), answers("A", "A"))])
    assert (row["exam"], row["base_accuracy"], row["tuned_accuracy"], row["base_truncated"]) == (
        "exam.jsonl",
        0.5,
        1,
        0,
    )


@pytest.mark.parametrize(
    ("given", "passes"), [(["AA", "AB"], True), (["AA", "A"], False), (["AA"], False), (["A", "B"], True)]
)
def test_every_question_has_as_many_answers(tmp_path: Path, given: list[str], passes: bool) -> None:
    write_jsonl(tmp_path / ANSWERS, answers(*given))
    write_jsonl(tmp_path / QUESTIONS, [AskedQuestion("exam.jsonl", f"#{n}", overlaps=False) for n in range(2)])
    assert every_question_answered(tmp_path, {})[0] is passes
