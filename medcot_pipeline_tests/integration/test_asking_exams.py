"""Exams asked of a model with random weights, through lm-eval: what ends, what is cut off, and what it can hold."""

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from medcot_pipeline.evaluation.exams.asking import ExamAnswer, ask_exams, exam_answer, put
from medcot_pipeline.evaluation.exams.files import ExamQuestion
from medcot_pipeline.evaluation.exams.lm_eval_task import lm_eval_model
from medcot_pipeline.inference.finished import NAME
from medcot_pipeline.inference.loaded import LoadedModel
from medcot_pipeline.inference.requests import Request, WrittenText
from medcot_pipeline.models.load import load_tokenizer
from medcot_pipeline.models.origin.sources import make_tiny_model
from medcot_pipeline.settings import BaseModelSettings, ExamSettings, LocalEngineSettings
from medcot_pipeline.support.errors import MedcotError

QUESTIONS = [
    ExamQuestion("exam.jsonl", f"#{n}", f"第{n}题：首选的药物是{'哪一种' * n}", "A. 甲药\nB. 乙药", "A")
    for n in (1, 2, 3)
]
HELD = 128
"""Tokens that the model holds."""
SAMPLED = ExamSettings(samples=2, max_new_tokens=6, temperature=1.0)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    make_tiny_model(BaseModelSettings(kind="tiny_random", tiny_hidden=32, tiny_layers=1), tmp_path)
    change(tmp_path / "config.json", max_position_embeddings=HELD)
    return tmp_path


def loaded(model: Path) -> LoadedModel:
    """The base in this folder, as it is asked."""
    return LoadedModel(model, None, LocalEngineSettings(rows=4), section="MEDCOT_EXAMS")


def ask(model: Path, questions: list[ExamQuestion], settings: ExamSettings, said: list[str]) -> list[ExamAnswer]:
    """What the base writes, whatever was written before."""
    with tempfile.TemporaryDirectory() as work:
        return ask_exams(loaded(model), questions, settings, Path(work), said.append)


def change(path: Path, **values: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text(encoding="utf-8")), **values}), encoding="utf-8")


def test_an_answer_without_an_end_token_is_cut_off_and_every_other_is_finished(model: Path) -> None:
    said: list[str] = []
    answers = ask(model, QUESTIONS, SAMPLED, said)
    assert [(each.id, each.sample) for each in answers] == [(f"#{n}", sample) for n in (1, 2, 3) for sample in (0, 1)]
    assert not any(each.finished for each in answers), "an end token is one of 151,000"
    assert len({each.text for each in answers}) == 6, "two answers to one question are two"
    change(model / "generation_config.json", eos_token_id=list(range(0, 151_000, 2)))
    ended = ask(model, QUESTIONS, SAMPLED, said)
    assert sum(each.finished for each in ended) >= 4, "every second token ends an answer"
    assert ended == ask(model, QUESTIONS, SAMPLED, said), "by the seed"


def test_a_model_that_holds_less_than_the_longest_answer_answers_shorter_and_no_question_is_cut(model: Path) -> None:
    said: list[str] = []
    answers = ask(model, QUESTIONS, ExamSettings(max_new_tokens=4_096, temperature=0), said)
    assert len(answers) == 3
    assert said[0].startswith("exams: after the longest question the model has room for ")
    long = ExamQuestion("exam.jsonl", "#4", "题" * 4 * HELD, "A. 甲药\nB. 乙药", "A")
    with pytest.raises(
        MedcotError, match=r"^exam\.jsonl, #4: .* tokens, but the base model holds 128\. Take the quest"
    ):
        ask(model, [*QUESTIONS, long], SAMPLED, said)


def test_an_answer_is_the_same_whatever_else_is_asked_and_after_a_kill(model: Path, tmp_path: Path) -> None:
    said: list[str] = []
    whole = ask(model, QUESTIONS, SAMPLED, said)
    assert ask(model, QUESTIONS[2:], SAMPLED, said) == whole[4:]
    assert ask(model, QUESTIONS, SAMPLED.model_copy(update={"samples": 1}), said) == whole[::2]
    work = tmp_path / "work"
    assert ask_exams(loaded(model), QUESTIONS, SAMPLED, work, said.append) == whole
    journal = work / NAME
    journal.write_bytes(b"".join(journal.read_bytes().splitlines(keepends=True)[:3]))
    said.clear()
    assert ask_exams(loaded(model), QUESTIONS, SAMPLED, work, said.append) == whole
    assert said[0] == "2 of 6 requests were already finished"


def test_lm_evals_own_score_and_ours_agree_on_the_same_completions(model: Path) -> None:
    """lm-eval reads the last line by its own filter and metric; ours is what `exam_answer` says of the same texts."""
    from datasets import Dataset
    from lm_eval import simple_evaluate
    from lm_eval.api.task import ConfigurableTask

    tokenizer = load_tokenizer(model)
    texts = ["先想。\n</think>\n\n答案：A", "先想。\n</think>\n\n答案：B", "还在想"]

    def write(requests: Sequence[Request]) -> list[WrittenText]:
        return [WrittenText(each.id, text, True, 9) for each, text in zip(requests, texts, strict=True)]

    rows = Dataset.from_list([{"text": put(each), "answer": each.answer} for each in QUESTIONS])
    config: dict[str, Any] = {
        "task": "theirs",
        "custom_dataset": lambda **_: {"test": rows},
        "test_split": "test",
        "output_type": "generate_until",
        "doc_to_text": "{{text}}",
        "doc_to_target": "{{answer}}",
        "filter_list": [
            {
                "name": "last line",
                "filter": [{"function": "regex", "regex_pattern": "答案：([A-H])"}, {"function": "take_first"}],
            }
        ],
        "metric_list": [{"metric": "exact_match", "aggregation": "mean", "higher_is_better": True}],
        "generation_kwargs": {"until": [], "max_gen_toks": 9, "do_sample": False},
    }
    names = [each.id for each in QUESTIONS]
    outcome = simple_evaluate(
        model=lm_eval_model(names, tokenizer, 0, write),
        tasks=[ConfigurableTask(config=config)],
        apply_chat_template=True,
        bootstrap_iters=0,
        verbosity="ERROR",
    )
    theirs = [sample["exact_match"] for sample in outcome["samples"]["theirs"]]
    pairs = zip(QUESTIONS, texts, strict=True)
    ours = [exam_answer(question, WrittenText("", text, True, 9), 0, opened=True).right for question, text in pairs]
    assert theirs == ours == [True, False, False]
    assert outcome["results"]["theirs"]["exact_match,last line"] == pytest.approx(sum(ours) / 3)
