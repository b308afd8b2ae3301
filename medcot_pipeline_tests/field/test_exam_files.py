"""Exams and benchmarks in the forms that people have: read by name, refused by name, and never guessed."""

import csv
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from medcot_pipeline.corpus.normalize.text import comparison_key
from medcot_pipeline.corpus.overlap.screen import screen_overlap
from medcot_pipeline.evaluation.exams.asking import ExamAnswer, asked_questions, put
from medcot_pipeline.evaluation.exams.files import ExamQuestion, read_exam
from medcot_pipeline.evaluation.exams.scores import exam_scores
from medcot_pipeline.support.errors import MedcotError
from medcot_pipeline_tests.support.genuine import FOLDER, genuine_rows_only
from medcot_pipeline_tests.unit.evaluation.report.test_report import EXAMINED, report

SEED = 13
STEM = "干热灭菌法所依据的灭菌因素是哪一项"
WARM = {"A": "Warm water", "B": "Steam", "C": "Dry Heat"}
LINES = "A. Warm water\nB. Steam\nC. Dry Heat"


def written(folder: Path, *rows: Any, name: str = "exam.jsonl", encoding: str = "utf-8") -> Path:
    path = folder / name
    path.write_text("".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows), encoding=encoding)
    return path


def read(folder: Path, row: Mapping[str, Any]) -> ExamQuestion:
    (question,) = read_exam(written(folder, row), 1, SEED).questions
    return question


def refused(folder: Path, row: Mapping[str, Any]) -> str:
    with pytest.raises(MedcotError) as raised:
        read(folder, row)
    return str(raised.value)


MEDQA = {"question": STEM, "options": WARM, "answer": "Dry Heat", "answer_idx": "C", "meta_info": "step1"}
CMB = {"exam_type": "医师考试", "question_type": "多项选择题", "question": STEM, "option": WARM, "answer": "AC"}
CMEXAM = {"Question": STEM, "Options": "A Warm water\\nB Steam\\nC Dry Heat", "Answer": "C", "Explanation": "干热。"}
CMMLU = {"": "0", "Question": STEM, **WARM, "Answer": "C"}


@pytest.mark.parametrize(
    ("row", "options", "key"),
    [
        (MEDQA, LINES, "C"),
        (CMB, LINES, "AC"),
        (CMEXAM, "A Warm water\nB Steam\nC Dry Heat", "C"),
        (CMMLU, LINES, "C"),
        ({**MEDQA, "options": list(WARM.values())}, LINES, "C"),
        ({**MEDQA, "options": [{"key": key, "value": text} for key, text in WARM.items()]}, LINES, "C"),
        ({**CMB, "option": {**WARM, "D": "", "E": None}, "answer": "A、C"}, LINES, "AC"),
        ({**MEDQA, "answer": 'Dry Heat\n"', "answer_idx": "C"}, LINES, "C"),
        ({"question": f"{STEM}\nA. 水\nB. 汽\nC. 热", "answer": "(C)"}, "", "C"),
    ],
)
def test_the_form_is_told_by_the_names_of_its_fields(
    tmp_path: Path, row: dict[str, Any], options: str, key: str
) -> None:
    """Staged after jind11/MedQA#5 (an answer with extra characters behind it) and the forms of the four exams."""
    question = read(tmp_path, row)
    assert (question.options, question.answer) == (options, key)
    assert put(question).startswith(f"{row.get('question') or row['Question']}\n{options}".strip())
    assert "{" not in put(question) and "None" not in put(question)


@pytest.mark.parametrize(
    "answer",
    ["Dry Heat", "Answer: C", "C is right", "None", "BAD FACE", "D", "CE", "", "c or a", None, 2, ["C"], {"C": 1}],
)
def test_an_answer_that_is_no_letters_of_the_options_is_refused_with_its_line(tmp_path: Path, answer: Any) -> None:
    """Staged after Future-House/paper-qa#693: letters read out of an answer that is not among the options."""
    said = refused(tmp_path, {"question": STEM, "options": WARM, "answer": answer})
    assert f"exam.jsonl, line 1: the answer {answer!r} is no letter of its options (A, B, C)." in said
    assert "answer_idx" in said and "\n" not in said


def test_a_key_that_contradicts_the_answer_s_text_is_refused(tmp_path: Path) -> None:
    """Staged after nyu-mll/quality#12: keys that were one off."""
    said = refused(tmp_path, {**MEDQA, "answer_idx": "B"})
    assert "answer_idx is 'B', but the answer 'Dry Heat' is option C" in said


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"question": None}, "no text in a field question"),
        ({"question": "  "}, "no text in a field question"),
        ({"options": None}, "not two options or more, A to H (none, fields: question, options, answer"),
        ({"options": "see the picture"}, "not two options or more"),
        ({"options": {"A": "one"}}, "not two options or more"),
        ({"options": {"1": "one", "2": "two"}}, "not two options or more"),
        ({"options": {letter: letter for letter in "ABCDEFGHI"}}, "not two options or more, A to H (A, B"),
    ],
)
def test_an_item_without_question_or_options_is_refused_and_null_is_no_text(
    tmp_path: Path, changed: dict[str, Any], said: str
) -> None:
    """Staged after field reports: a question that read `None` was asked and scored."""
    assert f"exam.jsonl, line 1: {said}" in refused(tmp_path, {**MEDQA, **changed})


@pytest.mark.parametrize("name", ["exam.jsonl", "exam.ndjson", "exam.json", "exam.csv", "exam.parquet"])
def test_every_format_gives_the_same_questions_with_or_without_a_byte_order_mark(tmp_path: Path, name: str) -> None:
    """Staged after WangRongsheng/MedQA-ChatGLM#2 and huggingface/datasets#8241: a BOM before the first item."""
    rows = [{"Question": STEM, **WARM, "Answer": "C"}, {"Question": f"{STEM}？", **WARM, "Answer": "B"}]
    path = tmp_path / name
    match path.suffix:
        case ".json":
            path.write_text(json.dumps(rows), encoding="utf-8-sig")
        case ".csv":
            text = io.StringIO(newline="")
            table = csv.DictWriter(text, list(rows[0]))
            table.writeheader()
            table.writerows(rows)
            path.write_text(text.getvalue(), encoding="utf-8-sig")
        case ".parquet":
            pl.DataFrame(rows).write_parquet(path)
        case _:
            written(tmp_path, *rows, name=name, encoding="utf-8-sig")
    assert [(each.question, each.options, each.answer) for each in read_exam(path, 9, SEED).questions] == [
        (STEM, LINES, "C"),
        (f"{STEM}？", LINES, "B"),
    ]


def test_a_record_that_would_lose_a_value_is_refused(tmp_path: Path) -> None:
    """Staged after field reports: the second `answer` of an object, and cells behind the last column."""
    path = tmp_path / "exam.jsonl"
    path.write_text('{"question": "x", "answer": "A", "answer": "B"}\n', encoding="utf-8")
    with pytest.raises(MedcotError, match=r'line 1: the field "answer" stands in it more than once'):
        read_exam(path, 1, SEED)
    table = tmp_path / "exam.csv"
    table.write_text(f"question,A,B,answer\n{STEM},one,two,A,surplus\n", encoding="utf-8")
    with pytest.raises(MedcotError, match="line 2: 5 cells under 4 columns"):
        read_exam(table, 1, SEED)


def test_an_item_that_cannot_be_scored_is_left_out_and_counted_with_its_line(tmp_path: Path) -> None:
    """Staged after Future-House/paper-qa#693: answers outside of the options counted as wrong for the wrong reason."""
    exam = read_exam(written(tmp_path, MEDQA, {**MEDQA, "answer_idx": "E"}, CMB), 9, SEED)
    assert [each.id for each in exam.questions] == ["#1", "#3"]
    assert exam.left_out == (
        "exam.jsonl: 1 of its items left out, first line 2: the answer 'E' is no letter of its options (A, B, C)."
    )
    made = report(exams={**EXAMINED, "left_out": [exam.left_out]})
    assert made.not_measured[-1] == f"Examinations: {exam.left_out}"


def corpus(*questions: str) -> pl.DataFrame:
    keys = [comparison_key(question) for question in questions]
    return pl.DataFrame({"row_id": [f"r{n}" for n in range(len(keys))], "split": ["train"] * len(keys), "key": keys})


def test_benchmark_items_are_counted_by_the_true_reason(tmp_path: Path) -> None:
    """Staged after field reports: 300 items under another field's name were "fewer than eight characters"."""
    path = written(tmp_path, {"question": STEM}, {"question": "休克是"}, {"stem": STEM, "id": 7}, {"question": None})
    with path.open("a", encoding="utf-8") as file:
        file.write("no json\n[1]\n")
    (summary,) = screen_overlap(corpus(STEM), tmp_path).summary.to_dicts()
    assert summary["benchmark"] == "exam.jsonl" and summary["items"] == 6
    assert (summary["too_short"], summary["no_question"], summary["unreadable"]) == (1, 2, 2)
    assert summary["confirmed"] == 1
    assert summary["note"] == (
        '2 with no field "question" (fields: id, question, stem), first line 3; '
        "2 not read, first line 5: not JSON (Expecting value): no json"
    )


def test_a_benchmark_with_a_byte_order_mark_or_a_capital_in_its_field_is_read(tmp_path: Path) -> None:
    """Staged after huggingface/datasets#8241: a BOM that one reader takes and another does not."""
    written(tmp_path, {"Question": STEM}, encoding="utf-8-sig")
    assert screen_overlap(corpus(STEM), tmp_path).summary["confirmed"].to_list() == [1]


def test_two_benchmarks_of_one_name_in_two_folders_are_two(tmp_path: Path) -> None:
    """Staged after field reports: every exam's file is called test.jsonl."""
    for folder, field in (("cmb", "prompt"), ("medqa", "question")):
        (tmp_path / folder).mkdir()
        written(tmp_path / folder, {field: STEM}, name="test.jsonl")
    found = screen_overlap(corpus(STEM), tmp_path, "question", {"cmb/test.jsonl": "prompt"})
    assert found.hits["benchmark"].to_list() == ["cmb/test.jsonl", "medqa/test.jsonl"]
    with pytest.raises(MedcotError, match=r"names test\.jsonl, which is cmb/test\.jsonl and medqa/test\.jsonl"):
        screen_overlap(corpus(STEM), tmp_path, "question", {"test.jsonl": "prompt"})
    with pytest.raises(MedcotError, match=r"names cmmlu\.csv, which is no file below"):
        screen_overlap(corpus(STEM), tmp_path, "question", {"cmmlu.csv": "Question"})


def test_every_item_that_a_training_row_holds_is_left_out_of_the_clean_score() -> None:
    """Staged after marin-community/marin#6852: an exam that asks twice, once with other options, was half screened."""
    questions = [
        ExamQuestion("exam.jsonl", f"#{n}", stem, LINES, "A") for n, stem in enumerate([STEM, STEM, f"请问{STEM}"])
    ]
    questions.append(ExamQuestion("exam.jsonl", "#3", "成人胸外按压的频率是每分钟多少次", LINES, "A"))
    answers = [ExamAnswer("exam.jsonl", each.id, "", "A", True, True) for each in questions]
    every, clean = exam_scores(answers, answers, asked_questions(questions, corpus(STEM)))
    assert (every.n, clean.n) == (4, 1)


@genuine_rows_only
def test_genuine_exams_are_read_whole(tmp_path: Path) -> None:
    """Staged after the forms of CMExam and CMB; the rows stay in the folder of MEDCOT_REALDATA."""
    exam = read_exam(FOLDER / "cmexam_val_half.jsonl", 10_000, SEED).questions
    lines = (FOLDER / "cmexam_val_half.jsonl").read_text(encoding="utf-8").splitlines()
    assert [(each.question, each.answer) for each in exam] == [
        (row["question"], "".join(sorted(row["answer"]))) for row in map(json.loads, lines)
    ]
    rows = [json.loads(line) for line in (FOLDER / "cmb_train_mcq_1000.jsonl").read_text("utf-8").splitlines()]
    cmb = read_exam(
        written(tmp_path, *({"question": row["prompt"], "answer": row["gt_answer"]} for row in rows)), 10_000, SEED
    )
    given = {f"#{number}": row["gt_answer"] for number, row in enumerate(rows, start=1)}
    assert {each.id: each.answer for each in cmb.questions} == {key: given[key] for key in given if key != "#95"}
    assert (
        "1 of its items left out, first line 95: the answer 'E' is no letter of its options (A, B, C, D)"
        in cmb.left_out
    )
