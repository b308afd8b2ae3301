"""A second judge over the same answers: its own record, calls and gates, and how far it agrees with the first."""

from pathlib import Path

import pytest
from pydantic import SecretStr

from medcot_pipeline.evaluation.judging.checks import second_judge_passes_its_gates
from medcot_pipeline.evaluation.judging.judge import judge_answers
from medcot_pipeline.evaluation.judging.second import judges_agreement
from medcot_pipeline.evaluation.judging.stages import STAGES
from medcot_pipeline.records.judgement import Judged, read_second_judge
from medcot_pipeline.settings import JudgeSettings, Settings, recorded
from medcot_pipeline.support.errors import MedcotError
from medcot_pipeline.support.json_files import write_model
from medcot_pipeline_tests.support import judges
from medcot_pipeline_tests.support.chat_endpoint import endpoint, longer_wins
from medcot_pipeline_tests.support.judging import ANSWERS, PROMPTS, SECRET, judge

(STAGE,) = STAGES
URL = "http://127.0.0.1:9/v1"


def record(model: str, family: str, outcomes: str) -> Judged:
    return Judged.model_validate(
        {
            "model": model,
            "family": family,
            "verdicts": [
                {"prompt_id": f"p{number}", "outcome": outcome} for number, outcome in enumerate(outcomes.split())
            ],
            "gates": [],
            "calls": {"answered": 2, "invalid": 0, "repaired": 0, "failed": 0},
            "tokens": {"prompt": 1, "completion": 1},
        }
    )


def test_two_judges_are_held_against_each_other_where_both_gave_a_verdict() -> None:
    first = record("one", "qwen", "tuned " * 6 + "base " * 4 + "inconsistent invalid tuned")
    second = record("two", "openai", "tuned " * 5 + "base " * 5 + "tie tuned invalid")
    found = judges_agreement(first, second, 200, 0)
    assert (found.n, found.left_out) == (11, 2)
    assert found.table == ((4, 0, 0), (0, 1, 0), (1, 0, 5)), "the first judge in rows: base, tie, tuned"
    assert found.raw.value == pytest.approx(10 / 11)
    assert (found.judges, found.families, found.one_family) == (("one", "two"), ("qwen", "openai"), False)
    assert list(found.model_dump())[:3] == ["judges", "families", "left_out"]


@pytest.mark.parametrize(
    ("families", "one"),
    [(("qwen", "qwen"), True), (("qwen", "glm"), False), (("qwen", "unknown"), None), (("unknown", "unknown"), None)],
)
def test_judges_of_one_family_are_told_from_those_whose_family_nobody_knows(
    families: tuple[str, str], one: bool | None
) -> None:
    found = judges_agreement(record("a", families[0], "tie"), record("b", families[1], "tie"), 50, 0)
    assert found.one_family is one


def test_without_a_common_verdict_nothing_is_said_of_agreement() -> None:
    found = judges_agreement(record("a", "qwen", "invalid"), record("b", "glm", "tuned"), 50, 0)
    assert (found.n, found.left_out, found.raw.value) == (0, 1, None)


def test_both_judges_share_a_cache_and_neither_takes_the_others_rulings(tmp_path: Path) -> None:
    with endpoint(longer_wins) as (first_url, first_asked), endpoint(judges.fair) as (second_url, second_asked):
        judge(first_url, tmp_path / "cache.jsonl")
        judge(second_url, tmp_path / "cache.jsonl", model="judge-2")
        assert len(first_asked) == len(second_asked)
        judge(second_url, tmp_path / "cache.jsonl", model="judge-2")
        assert len(first_asked) == len(second_asked), "kept"


def test_errors_of_the_second_judge_name_its_own_variables(tmp_path: Path) -> None:
    settings = JudgeSettings(
        base_url=URL, model="one", second={"base_url": URL, "model": "two", "api_key": SecretStr(SECRET)}
    ).second.model_copy(update={"max_retries": 0})
    with pytest.raises(MedcotError) as raised:
        judge_answers(PROMPTS, ANSWERS, settings, tmp_path / "cache.jsonl", lambda *_: None)
    said = str(raised.value)
    assert said.startswith(f"MEDCOT_JUDGE__SECOND__BASE_URL={URL}: the second judge 'two' answers no call (")
    assert "MEDCOT_JUDGE__SECOND__MODEL or MEDCOT_JUDGE__SECOND__API_KEY" in said
    assert said.endswith("Without MEDCOT_JUDGE__SECOND__BASE_URL the report is made with one judge.")
    assert SECRET not in said


def test_a_second_judge_is_part_of_the_identity_only_where_there_is_one() -> None:
    alone = Settings(judge={"base_url": URL, "model": "one"})
    both = Settings(judge={"base_url": URL, "model": "one", "second": {"base_url": URL, "model": "two"}})
    assert recorded(alone, *STAGE.settings) == recorded(alone, "judge"), "as in artifacts without a second judge"
    assert set(recorded(both, *STAGE.settings)) - set(recorded(alone, *STAGE.settings)) == {
        f"judge.second.{name}" for name in ("base_url", "model", "family", "max_tokens")
    }


def test_a_folder_without_a_second_judge_has_none_and_its_check_says_so(tmp_path: Path) -> None:
    assert read_second_judge(tmp_path) is None
    assert second_judge_passes_its_gates(tmp_path, {}) == (True, "No second judge is configured.")
    with endpoint(longer_wins) as (url, _):
        outcome = judge(url, tmp_path / "cache.jsonl")
    write_model(tmp_path / "second.json", outcome.record(JudgeSettings(base_url=url, model="two")))
    passed, said = second_judge_passes_its_gates(tmp_path, {})
    assert not passed and "it prefers the longer text" in said
