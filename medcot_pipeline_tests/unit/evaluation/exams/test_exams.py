import importlib.util
import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from medcot_pipeline.corpus.normalize.text import comparison_key
from medcot_pipeline.evaluation.exams.asking import ExamAnswer, asked_questions, chosen_letters, exam_scores, put
from medcot_pipeline.evaluation.exams.files import ExamQuestion, read_exam, require_exams
from medcot_pipeline.records.arms import ARMS, Arm
from medcot_pipeline.support.errors import MedcotError

STEM = "上消化道出血的患者出现黑便时，最先应当采取的处理措施是哪一项"


def exam(folder: Path, *rows: Any) -> Path:
    path = folder / "exam.jsonl"
    path.write_text("".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows), encoding="utf-8")
    return path


def test_questions_of_the_cmexam_form_are_read(tmp_path: Path) -> None:
    row = {"question": STEM, "options": "A 输血\\nB 禁食", "answer": "B,A"}
    (question,) = read_exam(exam(tmp_path, row, row), 1).questions
    assert question == ExamQuestion("exam.jsonl", "#1", STEM, "A 输血\nB 禁食", "AB")
    assert put(question) == f"{STEM}\nA 输血\nB 禁食\n\n请选出正确答案，并在最后一行写“答案：”和选项字母。"


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (
            [{"question": STEM, "options": "A 输血\nB 禁食"}],
            "line 1: the answer None is no letter of its options (A, B)",
        ),
        (["text"], "line 1: not an object but str"),
        ([{"question": STEM, "options": "A 输血", "answer": "A"}], "line 1: not two options or more"),
        ([{"question": None, "options": "A 输血\nB 禁食", "answer": "A"}], "line 1: no text in a field question"),
        ([], "no question in it"),
    ],
)
def test_a_line_that_is_no_question_is_named(tmp_path: Path, rows: list[Any], said: str) -> None:
    with pytest.raises(MedcotError) as raised:
        read_exam(exam(tmp_path, *rows), 10)
    assert said in str(raised.value)


@pytest.mark.parametrize(
    ("answer", "letters"),
    [
        ("综上，答案：C", "C"),
        ("先看A，再看B。\n答案是D。", "D"),
        ("**答案：A、D**", "AD"),
        ("正确答案为BDA", "ABD"),
        ("应选E。", "E"),
        ("The answer is (D).", "D"),
        ("Answer: B\n\nAnswer: C", "C"),
        ("A是错的，所以B", "B"),
        ("答案：C。其余选项A、B、D均有误。", "C"),
        ("选C。选项A多见于儿童。", "C"),
        ("A patient like this needs rest.", None),
        ("不确定", None),
        ("", None),
    ],
)
def test_the_last_answer_is_read_and_nothing_is_guessed(answer: str, letters: str | None) -> None:
    assert chosen_letters(answer) == letters


def test_scores_pair_the_arms_and_leave_out_what_training_rows_hold() -> None:
    questions = [
        ExamQuestion("exam.jsonl", f"#{n}", f"{STEM}{n}" if n == 1 else f"题目{n}", "", "A") for n in (1, 2, 3)
    ]
    train = pl.DataFrame({"row_id": ["r"], "split": ["train"], "key": [comparison_key(f"{STEM}1")]})
    chosen: dict[Arm, list[str | None]] = {"base": ["A", "B", None], "tuned": ["A", "A", "B"]}
    base, tuned = (
        [
            ExamAnswer("exam.jsonl", question.id, "", letters, letters == "A")
            for question, letters in zip(questions, chosen[arm], strict=True)
        ]
        for arm in ARMS
    )
    every, clean = exam_scores(base, tuned, asked_questions(questions, train))
    assert (every.items, every.n, every.base_pass, every.tuned_pass) == ("all", 3, 1, 2)
    assert (every.tuned_only, every.base_unparsed, every.tuned_unparsed) == (1, 1, 0)
    assert (clean.items, clean.n, clean.base_pass, clean.tuned_pass) == ("without overlap", 2, 0, 1)


def test_without_lm_eval_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MedcotError, match=r"lm-eval is not installed. Install the extra: .*\[bench\]"):
        require_exams(Path("exams"), [Path("exams/cmexam.jsonl")])


def test_a_folder_without_an_exam_is_named_and_not_passed_over() -> None:
    with pytest.raises(MedcotError, match=r"^MEDCOT_EXAMS__FOLDER=exams: no \.json, .* file in it\."):
        require_exams(Path("exams"), [])


def test_an_exam_that_is_not_utf8_is_named(tmp_path: Path) -> None:
    (tmp_path / "gbk.jsonl").write_bytes("题目".encode("gbk"))
    with pytest.raises(MedcotError, match=r"gbk\.jsonl, line 1: not UTF-8"):
        read_exam(tmp_path / "gbk.jsonl", 1)
