"""Exams through lm-eval, from a file to the report, on the model that the profile `tiny` trained."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from medcot_pipeline.records.arms import ARMS, Arm
from medcot_pipeline.support.json_files import read_json
from medcot_pipeline_tests.support.home import Home

QUESTIONS = [
    {
        "question": "成人心肺复苏时胸外按压的频率是每分钟多少次",
        "options": "A 60\\nB 80\\nC 100～120\\nD 160",
        "answer": "C",
    },
    {"question": "青霉素过敏性休克首选的药物是", "options": "A 肾上腺素\\nB 地塞米松\\nC 氯雷他定", "answer": "A"},
    {
        "question": "Which of these are loop diuretics?",
        "options": "A furosemide\nB torasemide\nC digoxin",
        "answer": "AB",
    },
]
FAST = {
    "MEDCOT_EXAMS__MAX_NEW_TOKENS": "12",
    "MEDCOT_EXAMS__TEMPERATURE": "0",
    "MEDCOT_EXAMS__SHUFFLE_OPTIONS": "true",
}


@pytest.fixture
def examined(chain_copy: Home, tmp_path: Path) -> Home:
    """A copy of the chain with an exam set; both arms are asked it."""
    lines = [json.dumps(question, ensure_ascii=False) for question in QUESTIONS]
    (tmp_path / "cmexam.jsonl").write_text("\n".join(lines), encoding="utf-8")
    done = chain_copy.run("medcot", "sync", MEDCOT_EXAMS__FOLDER=str(tmp_path), **FAST)
    assert done.returncode == 0, done.stdout + done.stderr
    made = set(re.findall(r"(\w+): published in", done.stderr))
    assert made == {"base_exams", "tuned_exams", "exam_report", "eval_report", "promotion"}, "nothing else is measured"
    return chain_copy


def test_both_arms_are_asked_and_scored_by_what_they_write(examined: Home) -> None:
    given: dict[tuple[str, Arm], dict[str, Any]] = {}
    for arm in ARMS:
        lines = (examined.current(f"{arm}_exams") / "answers.jsonl").read_text(encoding="utf-8").splitlines()
        given |= {(each["id"], arm): each for each in map(json.loads, lines)}
    assert set(given) == {(f"#{number}", arm) for number in (1, 2, 3) for arm in ARMS}
    assert all(given[f"#{n}", "base"]["text"] != given[f"#{n}", "tuned"]["text"] for n in (1, 2, 3)), (
        "two arms, not one"
    )
    asked = [(examined.current(f"{arm}_exams") / "questions.jsonl").read_bytes() for arm in ARMS]
    assert asked[0] == asked[1], "the same questions, with their options in the same order"
    assert all(len(json.loads(line)["order"]) in (3, 4) for line in asked[0].splitlines())
    every, clean = read_json(examined.current("eval_report") / "report.json")["exams"]["scores"]
    assert (every["exam"], every["items"], clean["items"]) == ("cmexam.jsonl", "all", "without overlap")
    assert (every["n"], clean["n"]) == (3, 3)
    for arm in ARMS:
        assert every[f"{arm}_pass"] == sum(given[f"#{number}", arm]["right"] for number in (1, 2, 3))
        unread = [given[f"#{number}", arm]["chosen"] is None for number in (1, 2, 3)]
        cut_off = [not given[f"#{number}", arm]["finished"] for number in (1, 2, 3)]
        assert (every[arm]["unparsed"], every[arm]["truncated"]) == (sum(unread), sum(cut_off))
