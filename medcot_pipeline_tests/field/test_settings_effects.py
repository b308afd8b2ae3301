"""A setting that does nothing is refused, with the one that it waits for.

Staged after lidge-jun/opencodex#464: a saved address is passed over without a word, and another server is asked.
"""

import os
from pathlib import Path

import pytest

from medcot_pipeline.settings import Settings, load_settings, profile_names, setting_fields, variable_of
from medcot_pipeline.settings.section import conditions
from medcot_pipeline_tests.support.profiles import complaint

FIELDS = dict(setting_fields(Settings))


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.upper().startswith("MEDCOT_")]:
        monkeypatch.delenv(name)


@pytest.mark.parametrize(
    ("setting", "value", "switch", "way_out"),
    [
        ("source.path", "rows.json", "source.kind is sample", "MEDCOT_SOURCE__KIND=file"),
        ("source.config", "en", "source.kind is sample", "MEDCOT_SOURCE__KIND=hub"),
        ("source.revision", "a" * 40, "source.kind is sample", "MEDCOT_SOURCE__KIND=hub"),
        ("base_model.path", "/models/mine", "base_model.kind is smollm2_wheel", "MEDCOT_BASE_MODEL__KIND=path"),
        ("base_model.repository", "a/b", "base_model.kind is smollm2_wheel", "MEDCOT_BASE_MODEL__KIND=hub"),
        ("base_model.seed", "5", "base_model.kind is smollm2_wheel", "MEDCOT_BASE_MODEL__KIND=tiny_random"),
        ("splits.benchmark_question_field", "题目", "splits.benchmark_dir is not set", "MEDCOT_SPLITS__BENCHMARK_DIR"),
        (
            "splits.benchmark_fields",
            '{"a.csv": "q"}',
            "splits.benchmark_dir is not set",
            "MEDCOT_SPLITS__BENCHMARK_DIR",
        ),
        ("answers.endpoint.base_url", "http://127.0.0.1:1/v1", "answers.backend is model", "MEDCOT_ANSWERS__BACKEND=e"),
        ("answers.endpoint.api_key", "geheim", "answers.backend is model", "MEDCOT_ANSWERS__BACKEND=endpoint"),
        ("exams.max_questions", "5", "exams.folder is not set", "MEDCOT_EXAMS__FOLDER"),
        ("judge.model", "judge-1", "judge.base_url is not set", "MEDCOT_JUDGE__BASE_URL"),
        ("judge.api_key", "geheim", "judge.base_url is not set", "MEDCOT_JUDGE__BASE_URL"),
        ("judge.second.model", "judge-2", "judge.base_url is not set", "MEDCOT_JUDGE__BASE_URL"),
        ("judge.second.api_key", "geheim", "judge.base_url is not set", "MEDCOT_JUDGE__BASE_URL"),
        ("report.judge_prompt_price", "1.5", "judge.base_url is not set", "MEDCOT_JUDGE__BASE_URL"),
    ],
)
def test_a_setting_without_the_one_that_it_needs_is_refused_with_both_names(
    monkeypatch: pytest.MonkeyPatch, setting: str, value: str, switch: str, way_out: str
) -> None:
    monkeypatch.setenv(variable_of(setting), value)
    message = complaint()
    assert message.startswith(f"Setting {setting} has no effect while {switch} (from {variable_of(setting)}).")
    assert f"or set {way_out}" in message
    assert "geheim" not in message


@pytest.mark.parametrize(
    ("off", "setting", "value"),
    [
        ({"MEDCOT_DEDUP__NEAR_DUPLICATES": "false"}, "dedup.jaccard", "0.7"),
        ({"MEDCOT_DEDUP__PARAPHRASES": "false"}, "dedup.group_cosine", "0.7"),
        ({"MEDCOT_TRACKING__WANDB_MODE": "disabled"}, "tracking.wandb_project", "mine"),
        ({"MEDCOT_TRAINING__CHECKPOINT_STEPS": "5"}, "training.checkpoint_share", "0.2"),
    ],
)
def test_a_setting_of_what_is_switched_off_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, off: dict[str, str], setting: str, value: str
) -> None:
    empty = tmp_path / "own.yaml"
    empty.touch()
    monkeypatch.setenv(variable_of(setting), value)
    load_settings(str(empty))
    for name, state in off.items():
        monkeypatch.setenv(name, state)
    assert complaint(str(empty)).startswith(f"Setting {setting} has no effect while ")


def test_a_profile_that_gives_a_setting_without_effect_is_refused(tmp_path: Path) -> None:
    own = tmp_path / "own.yaml"
    own.write_text("source: {path: rows.json}\n", encoding="utf-8")
    assert complaint(str(own)) == (
        f"Setting source.path has no effect while source.kind is sample (from profile {own}). "
        "Leave it out, or set MEDCOT_SOURCE__KIND=file."
    )


@pytest.mark.parametrize("profile", profile_names())
def test_the_environment_may_switch_off_what_a_profile_is_made_for(
    monkeypatch: pytest.MonkeyPatch, profile: str
) -> None:
    load_settings(profile)
    monkeypatch.setenv("MEDCOT_SOURCE__KIND", "file")
    monkeypatch.setenv("MEDCOT_SOURCE__PATH", "rows.json")
    monkeypatch.setenv("MEDCOT_BASE_MODEL__KIND", "path")
    monkeypatch.setenv("MEDCOT_BASE_MODEL__PATH", "model")
    load_settings(profile)


@pytest.mark.parametrize("value", ["", "null"])
@pytest.mark.parametrize("setting", ["source.path", "report.judge_prompt_price"])
def test_what_is_set_to_nothing_is_not_set(monkeypatch: pytest.MonkeyPatch, setting: str, value: str) -> None:
    if value or setting == "source.path":
        monkeypatch.setenv(variable_of(setting), value)
    assert load_settings()


def test_every_setting_that_speaks_of_a_kind_is_marked_with_it() -> None:
    marks = list(conditions(Settings))
    for name, field in FIELDS.items():
        if (field.description or "").startswith("kind="):
            kind = (field.description or "").removeprefix("kind=").partition(":")[0]
            switch = f"{name.partition('.')[0]}.kind"
            assert any(each == name and mark.switch == switch and kind in mark.values for each, mark in marks), name


def test_every_switch_is_a_setting() -> None:
    assert {mark.switch for _, mark in conditions(Settings)} <= set(FIELDS)
