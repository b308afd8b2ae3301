import pytest

from medcot_pipeline.settings import load_settings
from medcot_pipeline_tests.support.profiles import complaint


def test_a_variable_overrides_its_setting_and_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    before = load_settings("demo")
    monkeypatch.setenv("MEDCOT_TRAINING__LORA_RANK", "5")
    training = before.training.model_copy(update={"lora_rank": 5})
    assert load_settings("demo") == before.model_copy(update={"training": training})


def test_a_variable_reaches_a_nested_section(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDCOT_SOURCE__FIELDS__REASONING", "cot")
    fields = load_settings("demo").source.fields
    assert (fields.question, fields.reasoning, fields.answer) == ("Question", "cot", "Response")


def test_null_unsets_what_the_profile_sets(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_settings("demo").training.max_train_tokens == 6500
    monkeypatch.setenv("MEDCOT_TRAINING__MAX_TRAIN_TOKENS", "null")
    assert load_settings("demo").training.max_train_tokens is None


def test_settings_do_not_change_once_read() -> None:
    with pytest.raises(ValueError, match="frozen"):
        setattr(load_settings("demo").training, "lora_rank", 1)  # noqa: B010 - mypy refuses it too


@pytest.mark.parametrize("outside", ["MEDCOT_DATA_DIR", "MEDCOT_REALDATA"])
def test_a_variable_outside_the_sections_is_no_unknown_setting(monkeypatch: pytest.MonkeyPatch, outside: str) -> None:
    before = load_settings("demo")
    monkeypatch.setenv(outside, "anywhere")
    assert load_settings("demo") == before


@pytest.mark.parametrize(
    ("variable", "nearest"),
    [
        ("MEDCOT_TRAINING__LEARNING_RAT", "MEDCOT_TRAINING__LEARNING_RATE"),
        ("MEDCOT_SORCE__PATH", "MEDCOT_SOURCE__PATH"),
        ("MEDCOT_TRAINING_LORA_RANK", "MEDCOT_TRAINING__LORA_RANK"),
        ("MEDCOT_DATADIR", "MEDCOT_DATA_DIR"),
    ],
)
def test_an_unknown_variable_is_refused_with_the_nearest_name(
    monkeypatch: pytest.MonkeyPatch, variable: str, nearest: str
) -> None:
    monkeypatch.setenv(variable, "1")
    assert complaint().startswith(f"Environment variable {variable}: unknown setting (did you mean {nearest}?).")


@pytest.mark.parametrize(
    ("variable", "value", "setting"),
    [
        ("MEDCOT_TRAINING__LEARNING_RATE", "7", "training.learning_rate"),
        ("MEDCOT_TRAINING__LORA_RANK", "0", "training.lora_rank"),
        ("MEDCOT_DEDUP__JACCARD", "1.5", "dedup.jaccard"),
        ("MEDCOT_TRAINING__ENGINE", "jax", "training.engine"),
        ("MEDCOT_TRAINING__EPOCHS", "fast", "training.epochs"),
        ("MEDCOT_SOURCE__REVISION", "main", "source.revision"),
        ("MEDCOT_NORMALIZE__ACTIONS__TOO_SHORT", "keep", "normalize.actions.too_short"),
        ("MEDCOT_COMPUTE__GPUS", "0", "compute.gpus"),
        ("MEDCOT_COMPUTE__GPUS", "all", "compute.gpus"),
    ],
)
def test_a_value_out_of_range_names_setting_value_and_variable(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, setting: str
) -> None:
    monkeypatch.setenv(variable, value)
    message = complaint()
    assert message.startswith(f"Setting {setting} = {value!r}: ")
    assert message.endswith(f"(from {variable}).")


@pytest.mark.parametrize("variable", ["MEDCOT_DEDUP__SWAPS", "MEDCOT_SPLITS__BENCHMARK_FIELDS"])
def test_a_list_that_is_not_json_names_its_variable(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.setenv(variable, "左,右")
    assert f"a value is not JSON (from {variable})" in complaint()


def test_shares_that_do_not_sum_to_one_name_the_sum_and_the_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDCOT_SPLITS__TRAIN", "0.5")
    monkeypatch.setenv("MEDCOT_SPLITS__TEST", "0.1")
    assert complaint("tiny") == (
        "Setting splits: train + validation + test must be 1, not 0.65 "
        "(from MEDCOT_SPLITS__TEST, MEDCOT_SPLITS__TRAIN)."
    )


@pytest.mark.parametrize(
    ("variables", "way_out"),
    [
        ({"MEDCOT_SOURCE__KIND": "file"}, "MEDCOT_SOURCE__PATH"),
        ({"MEDCOT_BASE_MODEL__KIND": "path"}, "MEDCOT_BASE_MODEL__PATH"),
        ({"MEDCOT_JUDGE__BASE_URL": "http://127.0.0.1:1/v1"}, "MEDCOT_JUDGE__MODEL"),
    ],
)
def test_a_setting_that_needs_another_names_it(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], way_out: str
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    message = complaint()
    assert f"set {way_out}" in message
    assert message.endswith(f"(from {next(iter(variables))}).")


def test_a_second_judge_is_read_beside_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("JUDGE", "JUDGE__SECOND"):
        monkeypatch.setenv(f"MEDCOT_{name}__BASE_URL", "http://127.0.0.1:1/v1")
        monkeypatch.setenv(f"MEDCOT_{name}__MODEL", name)
    monkeypatch.setenv("MEDCOT_JUDGE__SECOND__MAX_TOKENS", "99")
    judge = load_settings("demo").judge
    assert (judge.model, judge.max_tokens) == ("JUDGE", 2048)
    assert (judge.second.model, judge.second.max_tokens, judge.second.family) == ("JUDGE__SECOND", 99, "")


@pytest.mark.parametrize(
    ("url", "model", "said"),
    [
        ("http://127.0.0.1:2/v1", "", "base_url is set but model is not: set MEDCOT_JUDGE__SECOND__MODEL"),
        ("http://127.0.0.1:1/v1", "one", "the second judge is the first one again ('one' at the same address)"),
        ("http://127.0.0.1:1/v1/", "one", "the second judge is the first one again ('one' at the same address)"),
    ],
)
def test_a_second_judge_without_a_model_or_that_is_the_first_is_refused(
    monkeypatch: pytest.MonkeyPatch, url: str, model: str, said: str
) -> None:
    monkeypatch.setenv("MEDCOT_JUDGE__BASE_URL", "http://127.0.0.1:1/v1")
    monkeypatch.setenv("MEDCOT_JUDGE__MODEL", "one")
    monkeypatch.setenv("MEDCOT_JUDGE__SECOND__BASE_URL", url)
    monkeypatch.setenv("MEDCOT_JUDGE__SECOND__MODEL", model)
    message = complaint()
    assert said in message and "MEDCOT_JUDGE__SECOND__BASE_URL" in message


@pytest.mark.parametrize(("value", "gpus"), [("auto", "auto"), ("2", 2)])
def test_gpus_are_a_number_or_all_that_are_visible(
    monkeypatch: pytest.MonkeyPatch, value: str, gpus: int | str
) -> None:
    monkeypatch.setenv("MEDCOT_COMPUTE__GPUS", value)
    assert load_settings("demo").compute.gpus == gpus
