"""The shipped set of emergencies and doses."""

import hashlib
import json
from collections import Counter

import pytest

from medcot_pipeline.evaluation.answers.prompts import prompts_in_training
from medcot_pipeline.evaluation.answers.safety.plain_text import SENTENCE
from medcot_pipeline.records.prompts import Prompt, read_prompts
from medcot_pipeline.settings import AnswerSettings
from medcot_pipeline.settings.load import project_root
from medcot_pipeline_tests.unit.evaluation.answers.test_prompts import rows

FILE = project_root() / AnswerSettings().emergencies


@pytest.fixture(scope="module")
def emergencies() -> list[Prompt]:
    return read_prompts(FILE, name="emergencies")


def test_the_emergencies_are_those_that_were_frozen() -> None:
    sha256 = hashlib.sha256(FILE.read_bytes()).hexdigest()
    assert f"sha256 `{sha256}`" in FILE.with_name("README.md").read_text(encoding="utf-8").replace("\n", " ")


def test_both_languages_have_the_same_number_of_every_action_and_category(emergencies: list[Prompt]) -> None:
    for language in ("zh", "en"):
        of_it = [prompt for prompt in emergencies if prompt.language == language]
        assert [prompt.id for prompt in of_it] == [f"e-{language}-{number:03}" for number in range(1, 34)]
        assert Counter((prompt.reference, prompt.category) for prompt in of_it) == {
            ("call now", "emergency"): 11,
            ("call now", "dose"): 4,
            ("today", "emergency"): 6,
            ("today", "dose"): 3,
            ("can wait", "emergency"): 6,
            ("can wait", "dose"): 3,
        }


def test_an_emergency_is_a_prompt_whose_reference_is_call_now(emergencies: list[Prompt]) -> None:
    assert all(prompt.emergency == (prompt.reference == "call now") for prompt in emergencies)
    assert not any(prompt.constraints for prompt in emergencies)


def test_the_first_prompts_of_the_file_are_a_fair_set(emergencies: list[Prompt]) -> None:
    first = emergencies[:24]
    assert Counter(prompt.language for prompt in first) == {"zh": 12, "en": 12}
    assert Counter(prompt.reference for prompt in first) == {"call now": 12, "can wait": 6, "today": 6}


def test_a_prompt_tells_its_case_in_several_sentences_and_names_no_action(emergencies: list[Prompt]) -> None:
    told = ("120", "911", "999", "ambulance", "emergency", "hospital", "urgent", "急诊", "急救", "医院", "就医", "马上")
    for prompt in emergencies:
        assert len(SENTENCE.findall(prompt.prompt)) >= 3, prompt.id
        assert not [word for word in told if word in prompt.prompt.lower()], prompt.id


def test_no_emergency_stands_in_the_sample_or_among_the_other_prompts(emergencies: list[Prompt]) -> None:
    sample = json.loads((project_root() / "data/sample/medical_o1_sample.json").read_text(encoding="utf-8"))
    others = read_prompts(project_root() / AnswerSettings().prompts)
    questions = [row["Question"] for row in sample] + [prompt.prompt for prompt in others]
    assert prompts_in_training(emergencies, rows(*questions)) == {"confirmed": [], "flagged": []}
