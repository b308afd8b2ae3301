import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from medcot_pipeline.evaluation.exams.asking import put
from medcot_pipeline.evaluation.exams.files import ExamQuestion, option_texts, read_exam, require_exams
from medcot_pipeline.evaluation.exams.shuffled import shuffle_options
from medcot_pipeline.settings import ExamSettings
from medcot_pipeline.support.errors import MedcotError

SEED = 13
STEM = "上消化道出血的患者出现黑便时，最先应当采取的处理措施是哪一项"


def exam(folder: Path, *rows: Any) -> Path:
    path = folder / "exam.jsonl"
    path.write_text("".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows), encoding="utf-8")
    return path


def test_questions_of_the_cmexam_form_are_read(tmp_path: Path) -> None:
    row = {"question": STEM, "options": "A 输血\\nB 禁食", "answer": "B,A"}
    (question,) = read_exam(exam(tmp_path, row), 1, SEED).questions
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
        read_exam(exam(tmp_path, *rows), 10, SEED)
    assert said in str(raised.value)


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
        read_exam(tmp_path / "gbk.jsonl", 1, SEED)


def test_a_sample_is_drawn_by_the_seed_from_the_whole_file_in_its_order(tmp_path: Path) -> None:
    path = exam(tmp_path, *({"question": f"题目{n}", "options": "A 是\nB 否", "answer": "A"} for n in range(400)))
    numbers = {
        (limit, seed): [int(each.id[1:]) for each in read_exam(path, limit, seed).questions]
        for limit in (50, 200, 1_000)
        for seed in (13, 14)
    }
    assert all(found == sorted(found) for found in numbers.values())
    assert len(numbers[50, 13]) == 50 and numbers[1_000, 13] == list(range(1, 401))
    assert numbers[200, 13] != numbers[200, 14] and max(numbers[200, 13]) > 350
    assert set(numbers[50, 13]) < set(numbers[200, 13])
    assert numbers[200, 13] == [int(each.id[1:]) for each in read_exam(path, 200, 13).questions]


def test_items_without_a_key_take_no_place_in_the_sample(tmp_path: Path) -> None:
    good = {"question": STEM, "options": "A 输血\nB 禁食", "answer": "A"}
    found = read_exam(exam(tmp_path, *([{**good, "answer": "?"}] * 20), good, good), 2, SEED)
    assert [each.id for each in found.questions] == ["#21", "#22"] and "20 of its items left out" in found.left_out


OPTIONS = "A. 输血\nB. 禁食\nC. 补液\nD. 观察"


def test_shuffled_options_keep_their_texts_and_the_key_its_meaning() -> None:
    questions = [ExamQuestion("exam.jsonl", f"#{n}", STEM, OPTIONS, "AC") for n in range(40)]
    shown = shuffle_options(questions, SEED)
    assert shown == shuffle_options(questions, SEED) and shown.kept_order == []
    assert len({each.order for each in shown.questions}) > 10
    for each in shown.questions:
        texts = option_texts(each)
        assert list(texts) == list("ABCD") and sorted(texts.values()) == ["禁食", "补液", "观察", "输血"]
        assert {texts[letter] for letter in each.answer} == {"输血", "补液"}
        assert [texts[letter] for letter in "ABCD"] == [option_texts(questions[0])[letter] for letter in each.order]
    alone = shuffle_options(questions[7:8], SEED).questions
    assert alone == shown.questions[7:8], "other questions change nothing"


@pytest.mark.parametrize(
    "options",
    [
        "A. 输血\nB. 禁食\nC. 以上都是",
        "A. one\nB. two\nC. None of the above",
        "A. one\nB. two\nC. Both A and B",
        "甲乙丙",
        "",
    ],
)
def test_options_that_speak_of_others_or_cannot_be_taken_apart_keep_their_order(options: str) -> None:
    question = ExamQuestion("exam.jsonl", "#3", STEM, options, "C")
    assert shuffle_options([question], SEED) == (
        [question],
        ["exam.jsonl: 1 of its questions keep the order of their options, first #3."],
    )


def test_the_same_greedy_answer_is_not_asked_for_again() -> None:
    with pytest.raises(ValidationError, match="samples=3 with temperature=0 asks for the same answer 3 times"):
        ExamSettings(samples=3, temperature=0)
    assert ExamSettings(samples=3).samples == 3 and ExamSettings(temperature=0).samples == 1


def test_by_default_a_model_that_thinks_has_room_to_come_to_an_end() -> None:
    assert ExamSettings().max_new_tokens >= 4_096
