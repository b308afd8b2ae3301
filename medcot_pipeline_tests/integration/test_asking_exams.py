"""Exams asked of a model with random weights, through lm-eval: what ends, what is cut off, and what it can hold."""

import json
from pathlib import Path

import pytest

from medcot_pipeline.evaluation.exams.asking import ask_exams
from medcot_pipeline.evaluation.exams.files import ExamQuestion
from medcot_pipeline.models.sources import make_tiny_model
from medcot_pipeline.settings import BaseModelSettings, ExamSettings
from medcot_pipeline.support.errors import MedcotError

QUESTIONS = [
    ExamQuestion("exam.jsonl", f"#{n}", f"第{n}题：首选的药物是{'哪一种' * n}", "A. 甲药\nB. 乙药", "A")
    for n in (1, 2, 3)
]
HELD = 128
"""Tokens that the model holds."""
SAMPLED = ExamSettings(samples=2, max_new_tokens=6, batch_size=4, temperature=1.0)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    make_tiny_model(BaseModelSettings(kind="tiny_random", tiny_hidden=32, tiny_layers=1), tmp_path)
    change(tmp_path / "config.json", max_position_embeddings=HELD)
    return tmp_path


def change(path: Path, **values: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text(encoding="utf-8")), **values}), encoding="utf-8")


def test_an_answer_without_an_end_token_is_cut_off_and_every_other_is_finished(model: Path) -> None:
    said: list[str] = []
    answers = ask_exams(model, None, QUESTIONS, SAMPLED, said.append)
    assert [(each.id, each.sample) for each in answers] == [(f"#{n}", sample) for n in (1, 2, 3) for sample in (0, 1)]
    assert not any(each.finished for each in answers), "an end token is one of 151,000"
    assert not any("\ue000" in each.text for each in answers)
    assert len({each.text for each in answers}) == 6, "two answers to one question are two"
    change(model / "generation_config.json", eos_token_id=list(range(0, 151_000, 2)))
    ended = ask_exams(model, None, QUESTIONS, SAMPLED, said.append)
    assert sum(each.finished for each in ended) >= 4, "every second token ends an answer"
    assert ended == ask_exams(model, None, QUESTIONS, SAMPLED, said.append), "by the seed"


def test_a_model_that_holds_less_than_the_longest_answer_answers_shorter_and_no_question_is_cut(model: Path) -> None:
    said: list[str] = []
    answers = ask_exams(model, None, QUESTIONS, ExamSettings(max_new_tokens=4_096, temperature=0), said.append)
    assert len(answers) == 3
    assert said[0].startswith("exams: behind the longest question the model holds ")
    long = ExamQuestion("exam.jsonl", "#4", "题" * 4 * HELD, "A. 甲药\nB. 乙药", "A")
    with pytest.raises(
        MedcotError, match=r"^exam\.jsonl, #4: .* tokens, but the base model holds 128\. Take the quest"
    ):
        ask_exams(model, None, [*QUESTIONS, long], SAMPLED, said.append)
