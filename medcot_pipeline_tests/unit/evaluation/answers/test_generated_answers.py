"""Answers of a model with random weights: one prompt's does not depend on what else is asked, or on a kill."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from medcot_pipeline.evaluation.answers.generation import generate_answers
from medcot_pipeline.evaluation.answers.given import Given
from medcot_pipeline.inference.finished import NAME
from medcot_pipeline.inference.writing import written_with
from medcot_pipeline.models.base import base_folder
from medcot_pipeline.records.prompts import Prompt
from medcot_pipeline.settings import AnswerSettings, LocalEngineSettings, Settings, engine_settings
from medcot_pipeline.support.errors import MedcotError
from medcot_pipeline_tests.support.tiny_arms import tiny_arms

PROMPTS = [Prompt(f"p{number}", "zh", "用药", "发热怎么办？" * number) for number in range(1, 8)]
DRAWN = AnswerSettings(max_new_tokens=10, temperature=0.8, top_p=0.9, seed=3)
ENGINE = LocalEngineSettings(rows=3)
Arms = tuple[Path, Path]


@pytest.fixture(scope="module")
def arms(tmp_path_factory: pytest.TempPathFactory) -> Arms:
    base, adapter = tiny_arms(tmp_path_factory.mktemp("arms"))
    return base_folder(base), adapter


def ask(
    arms: Arms, work: Path, prompts: Sequence[Prompt] = PROMPTS, settings: AnswerSettings = DRAWN, *, tuned: bool = True
) -> Given:
    return generate_answers(arms[0], arms[1] if tuned else None, prompts, settings, ENGINE, work, lambda line: None)


def test_a_drawn_answer_is_the_same_alone_among_others_in_any_order_and_after_a_kill(
    arms: Arms, tmp_path: Path
) -> None:
    whole = ask(arms, tmp_path / "whole")
    assert [each.prompt_id for each in whole.answers] == [prompt.id for prompt in PROMPTS]
    assert len({each.reasoning for each in whole.answers}) == len(PROMPTS)
    assert whole.seconds > 0
    assert ask(arms, tmp_path / "turned", PROMPTS[::-1]).answers == whole.answers[::-1]
    for prompt, answer in zip(PROMPTS[:3], whole.answers, strict=False):
        assert ask(arms, tmp_path / prompt.id, [prompt]).answers == [answer]
    journal = tmp_path / "whole" / NAME
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(lines[:4]) + lines[4][:20])
    assert ask(arms, tmp_path / "whole").answers == whole.answers
    assert journal.read_bytes().splitlines(keepends=True)[:4] == lines[:4]


def test_both_arms_are_asked_with_the_same_seeds_and_write_otherwise(arms: Arms, tmp_path: Path) -> None:
    base, tuned = ask(arms, tmp_path / "base", tuned=False), ask(arms, tmp_path / "tuned")
    assert {each.arm for each in base.answers} == {"base"} and {each.arm for each in tuned.answers} == {"tuned"}
    assert [each.reasoning for each in base.answers] != [each.reasoning for each in tuned.answers]


def test_the_size_of_a_batch_changes_nothing(arms: Arms, tmp_path: Path) -> None:
    one = ask(arms, tmp_path / "1", settings=DRAWN.model_copy(update={"batch_size": 1}))
    assert one.answers == ask(arms, tmp_path / "8", settings=DRAWN.model_copy(update={"batch_size": 8})).answers


def test_more_tokens_than_the_model_has_positions_name_the_prompt_and_the_setting(arms: Arms, tmp_path: Path) -> None:
    said = r"^request p7: \d+ tokens of prompt and 5,000 of answer, but the model has [\d,]+ positions\. "
    with pytest.raises(MedcotError, match=said + r"Lower MEDCOT_ANSWERS__MAX_NEW_TOKENS to [\d,]+ at most\.$"):
        ask(arms, tmp_path, settings=AnswerSettings(max_new_tokens=5_000))


def test_what_answers_depend_on_is_said_of_both_arms_alike(arms: Arms) -> None:
    said = written_with(arms[0], ENGINE)
    assert said["engine"] == "local"
    assert said["precision"] == "NF4 unpacked to float32, LoRA beside it"
    assert said["rows"] == "3"
    assert written_with(arms[0], LocalEngineSettings())["rows"] == "16"


def test_the_engine_keeps_to_the_memory_of_training_where_none_of_its_own_is_set() -> None:
    assert engine_settings(Settings(training={"max_gpu_memory_gb": 24.0})).max_gpu_memory_gb == 24.0
    own = Settings(training={"max_gpu_memory_gb": 24.0}, inference={"max_gpu_memory_gb": 12.0, "rows": 4})
    assert engine_settings(own) == LocalEngineSettings(max_gpu_memory_gb=12.0, rows=4)
