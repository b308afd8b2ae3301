import json
import os
import subprocess
import sys
import traceback
from pathlib import Path

import pytest

from medcot_pipeline.settings import Settings, load_settings, profile_names, setting_fields, variable_of
from medcot_pipeline.support.errors import MedcotError

BLOCKS = """
splits: {benchmark_dir: exams, benchmark_fields: &first {a: x, b: y}}
normalize: {actions: {<<: &second {<<: &third {too_short: flag}, too_short: drop}, needs_image: flag}}
training: {<<: {lora_rank: 3, epochs: 2}, lora_rank: 4}
"""
SECRET = "sk-geheim-4711"


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever runs the tests may have settings of their own."""
    for name in [name for name in os.environ if name.upper().startswith("MEDCOT_")]:
        monkeypatch.delenv(name)


def profile(folder: Path, text: str) -> str:
    path = folder / "own.yaml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def complaint(name: str | None = None) -> str:
    with pytest.raises(MedcotError) as raised:
        load_settings(name)
    message = str(raised.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize("name", ["demo", "rtx4090", "tiny"])
def test_a_profile_of_the_package_loads(name: str) -> None:
    assert name in profile_names()
    assert isinstance(load_settings(name), Settings)


def test_the_default_profile_is_demo() -> None:
    assert load_settings() == load_settings("demo")


def test_the_variable_names_the_profile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDCOT_PROFILE", "tiny")
    assert load_settings().base_model.kind == "tiny_random"


def test_a_profile_is_a_file_of_ones_own(tmp_path: Path) -> None:
    assert load_settings(profile(tmp_path, "training: {lora_rank: 3}")).training.lora_rank == 3


def test_an_empty_profile_has_the_defaults(tmp_path: Path) -> None:
    assert load_settings(profile(tmp_path, "# nothing yet\n")) == Settings()


def test_a_setting_that_is_a_mapping_takes_any_key_from_a_profile(tmp_path: Path) -> None:
    own = profile(tmp_path, "splits: {benchmark_dir: exams, benchmark_fields: {exam.jsonl: 题目}}")
    assert load_settings(own).splits.benchmark_fields == {"exam.jsonl": "题目"}


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
    assert load_settings("demo").training.max_train_tokens == 25000
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
    ("text", "said"),
    [
        ("training: {lora_rang: 8}", "unknown setting training.lora_rang (did you mean training.lora_rank?)"),
        ("trainig: {lora_rank: 8}", "unknown setting trainig.lora_rank (did you mean training.lora_rank?)"),
        ("source: {fields: {qestion: q}}", "unknown setting source.fields.qestion (did you mean source.fields.qu"),
        ("training: 5", "unknown setting training"),
    ],
)
def test_an_unknown_key_of_a_profile_is_refused_with_the_nearest_name(tmp_path: Path, text: str, said: str) -> None:
    assert said in complaint(profile(tmp_path, text))


def test_an_unknown_profile_is_answered_with_the_nearest_and_the_list() -> None:
    assert complaint("demmo") == (
        "MEDCOT_PROFILE=demmo: no such profile (did you mean demo?). "
        "Profiles: demo, rtx4090, rtx4090-parity, tiny, or a path to a .yaml file."
    )


def test_a_profile_file_that_is_missing_is_named(tmp_path: Path) -> None:
    assert complaint(str(tmp_path / "gone.yaml")).startswith(f"MEDCOT_PROFILE={tmp_path}/gone.yaml: no such file.")


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"training: [", "is not YAML: "), (b"- 1", "must be a mapping of sections, not list"), (b"\xff", "not UTF-8")],
)
def test_a_profile_file_that_cannot_be_read_is_named(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "own.yaml"
    path.write_bytes(content)
    message = complaint(str(path))
    assert message.startswith(f"Profile {path} ")
    assert said in message


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
    ],
)
def test_a_value_out_of_range_names_setting_value_and_variable(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, setting: str
) -> None:
    monkeypatch.setenv(variable, value)
    message = complaint()
    assert message.startswith(f"Setting {setting} = {value!r}: ")
    assert message.endswith(f"(from {variable}).")


def test_a_value_out_of_range_in_a_profile_names_the_profile(tmp_path: Path) -> None:
    own = profile(tmp_path, "training: {lora_rank: -1}")
    message = complaint(own)
    assert message.startswith("Setting training.lora_rank = -1: ")
    assert message.endswith(f"(from profile {own}).")


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


@pytest.fixture
def with_secret(monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("MEDCOT_JUDGE__API_KEY", SECRET)
    monkeypatch.setenv("MEDCOT_JUDGE__BASE_URL", "http://127.0.0.1:1/v1")
    monkeypatch.setenv("MEDCOT_JUDGE__MODEL", "judge-1")
    return load_settings("demo")


def test_the_key_of_the_judge_is_read(with_secret: Settings) -> None:
    assert with_secret.judge.api_key.get_secret_value() == SECRET


@pytest.mark.parametrize("show", [repr, str, lambda s: json.dumps(s.model_dump(mode="json")), Settings.model_dump_json])
def test_the_key_of_the_judge_is_never_shown(with_secret: Settings, show: object) -> None:
    assert callable(show)
    assert SECRET not in show(with_secret)


def test_the_key_of_the_judge_is_not_in_the_traceback_of_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDCOT_JUDGE__API_KEY", SECRET)
    monkeypatch.setenv("MEDCOT_JUDGE__BASE_URL", "http://127.0.0.1:1/v1")
    with pytest.raises(MedcotError) as raised:
        load_settings("demo")
    assert SECRET not in "".join(traceback.format_exception(raised.value))


@pytest.mark.parametrize("key", ["sk-very-secret", "4711"])
def test_a_secret_in_a_profile_is_refused_without_being_shown(tmp_path: Path, key: str) -> None:
    message = complaint(profile(tmp_path, f"judge: {{api_key: {key}}}"))
    assert message.endswith("judge.api_key is a secret. Set MEDCOT_JUDGE__API_KEY instead.")
    assert key not in message
    message = complaint(profile(tmp_path, f"answers: {{endpoint: {{api_key: {key}}}}}"))
    assert message.endswith("endpoint.api_key is a secret. Set MEDCOT_ANSWERS__ENDPOINT__API_KEY instead.")
    assert key not in message


KEYS = ("MEDCOT_JUDGE__API_KEY", "MEDCOT_ANSWERS__ENDPOINT__API_KEY")


@pytest.mark.parametrize("around", ["{}\n", "{}\r\n", " {} "])
def test_a_key_is_read_without_the_line_end_that_a_file_leaves(monkeypatch: pytest.MonkeyPatch, around: str) -> None:
    for variable in KEYS:
        monkeypatch.setenv(variable, around.format(SECRET))
        monkeypatch.setenv(variable.replace("API_KEY", "BASE_URL"), "http://127.0.0.1:1/v1")
    for name in ("JUDGE__MODEL", "ANSWERS__ENDPOINT__BASE_MODEL", "ANSWERS__ENDPOINT__TUNED_MODEL"):
        monkeypatch.setenv(f"MEDCOT_{name}", name)
    monkeypatch.setenv("MEDCOT_ANSWERS__BACKEND", "endpoint")
    monkeypatch.setenv("MEDCOT_AUTOMATION__WEBHOOK_URL", around.format(f"https://hook.example.org/{SECRET}"))
    settings = load_settings("demo")
    read = (settings.judge.api_key, settings.answers.endpoint.api_key)
    assert {key.get_secret_value() for key in read} == {SECRET}
    assert settings.automation.webhook_url.get_secret_value() == f"https://hook.example.org/{SECRET}"


@pytest.mark.parametrize("variable", [*KEYS, "MEDCOT_AUTOMATION__WEBHOOK_URL"])
@pytest.mark.parametrize(
    ("key", "said"),
    [
        (f"“{SECRET}”", "it holds a character outside of ASCII, such as a curly quote from a word processor"),
        (f"{SECRET}\u200b", "it holds a character outside of ASCII, such as a curly quote from a word processor"),
        (f"{SECRET}\n{SECRET}", "it holds a blank, a line end or another character that cannot be sent"),
        (f"Bearer {SECRET}", "it holds a blank, a line end or another character that cannot be sent"),
    ],
)
def test_a_key_that_cannot_be_sent_is_refused_by_name_and_not_shown(
    monkeypatch: pytest.MonkeyPatch, variable: str, key: str, said: str
) -> None:
    monkeypatch.setenv(variable, key)
    with pytest.raises(MedcotError) as raised:
        load_settings("demo")
    setting = variable.removeprefix("MEDCOT_").lower().replace("__", ".")
    assert str(raised.value) == f"Setting {setting}: {said} (from {variable})."
    assert SECRET not in "".join(traceback.format_exception(raised.value))


@pytest.mark.parametrize(
    ("url", "said"),
    [
        (f"https://user:{SECRET}@judge.example.org/v1", "a key goes into api_key"),
        (f"https://{SECRET}@judge.example.org/v1", "a key goes into api_key"),
        (f"https://judge.example.org/v1?key={SECRET}", "a key goes into api_key"),
        ("judge.example.org/v1", "it begins with http:// or https://"),
        ("“https://judge.example.org/v1”", "it begins with http:// or https://"),
        ("https://judge.example.org:port/v1", "base_url is no web address"),
        ("https://[judge/v1", "base_url is no web address"),
        ("https://judge.example.org/ v1", "base_url is no web address"),
    ],
)
def test_an_address_that_holds_a_secret_or_is_none_is_refused_and_not_shown(
    monkeypatch: pytest.MonkeyPatch, url: str, said: str
) -> None:
    monkeypatch.setenv("MEDCOT_JUDGE__BASE_URL", url)
    monkeypatch.setenv("MEDCOT_JUDGE__MODEL", "judge-1")
    with pytest.raises(MedcotError) as raised:
        load_settings("demo")
    assert said in str(raised.value)
    assert "MEDCOT_JUDGE__BASE_URL" in str(raised.value)
    assert SECRET not in "".join(traceback.format_exception(raised.value))


PATHS = (
    "source.path",
    "source.incoming",
    "splits.benchmark_dir",
    "base_model.path",
    "perplexity.general_texts",
    "answers.prompts",
    "exams.folder",
    "review.folder",
)


def value_of(settings: Settings, name: str) -> object:
    section, field = name.split(".")
    return getattr(getattr(settings, section), field)


@pytest.fixture
def kinds_of_paths(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings under which every path has an effect."""
    monkeypatch.setenv("MEDCOT_SOURCE__KIND", "file")
    monkeypatch.setenv("MEDCOT_SOURCE__PATH", "rows.json")
    monkeypatch.setenv("MEDCOT_BASE_MODEL__KIND", "path")
    monkeypatch.setenv("MEDCOT_BASE_MODEL__PATH", "model")


def test_every_path_among_the_settings_is_tried_here() -> None:
    annotations = {name: str(field.annotation) for name, field in setting_fields(Settings)}
    assert {name for name, kind in annotations.items() if "Path" in kind} == set(PATHS)


@pytest.mark.parametrize("name", PATHS)
@pytest.mark.usefixtures("kinds_of_paths")
def test_a_tilde_is_the_users_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Staged after dagster-io/dagster#1631: a folder that is named ~."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv(variable_of(name), "~/mine")
    assert value_of(load_settings(), name) == tmp_path / "mine"
    section, field = name.split(".")
    monkeypatch.delenv(variable_of(name))
    assert value_of(load_settings(profile(tmp_path, f"{section}: {{{field}: ~/yours}}")), name) == tmp_path / "yours"


@pytest.mark.parametrize("name", [name for name in PATHS if not name.endswith(".path")])
def test_an_empty_path_in_the_environment_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    section, field = name.split(".")
    own = profile(tmp_path, f"{section}: {{{field}: somewhere}}")
    monkeypatch.setenv(variable_of(name), "")
    assert value_of(load_settings(own), name) == Path("somewhere")


def test_an_empty_path_does_not_replace_one_that_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDCOT_SOURCE__KIND", "file")
    monkeypatch.setenv("MEDCOT_SOURCE__PATH", "")
    assert "set MEDCOT_SOURCE__PATH to" in complaint()


@pytest.mark.parametrize(("path", "said"), [('""', "it is empty"), ("~nobody-of-that-name/x", "there is no such user")])
def test_a_path_of_a_profile_that_cannot_be_used_is_named(tmp_path: Path, path: str, said: str) -> None:
    message = complaint(profile(tmp_path, f"exams: {{folder: {path}}}"))
    assert message.startswith("Setting exams.folder = ")
    assert said in message


def test_the_profile_may_lie_in_the_users_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    profile(tmp_path, "training: {lora_rank: 3}")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("MEDCOT_PROFILE", "~/own.yaml")
    assert load_settings().training.lora_rank == 3


def test_an_empty_folder_of_a_library_puts_its_files_not_into_the_working_folder(tmp_path: Path) -> None:
    """Staged after pypa/pipx#1876: an empty path becomes the working folder."""
    script = (
        "from medcot_pipeline.settings import load_settings; load_settings(); "
        "from huggingface_hub.constants import HF_HUB_CACHE; print(HF_HUB_CACHE)"
    )
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MEDCOT_", "HF_"))}
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env={**kept, "HF_HOME": "", "XDG_CACHE_HOME": "", "HOME": str(tmp_path / "home")},
        capture_output=True,
        text=True,
    )
    assert done.stdout.strip() == str(tmp_path / "home" / ".cache" / "huggingface" / "hub")


def test_a_key_that_stands_twice_in_a_profile_is_refused_with_both_lines(tmp_path: Path) -> None:
    """Staged after yaml/pyyaml#165: the last of two blocks counts, and the first is lost."""
    own = profile(tmp_path, "training:\n  lora_rank: 3\nsource: {kind: sample}\ntraining:\n  epochs: 2\n")
    assert complaint(own) == f"Profile {own}: training stands twice, in line 1 and in line 4. Put both into one."


def test_so_is_a_setting_in_a_section_also_by_another_spelling(tmp_path: Path) -> None:
    own = profile(tmp_path, 'training:\n  lora_rank: 3\n  "lora_rank": 4\n')
    assert complaint(own) == f"Profile {own}: lora_rank stands twice, in line 2 and in line 3. Put both into one."


def test_a_block_that_is_taken_over_and_changed_is_no_key_twice(tmp_path: Path) -> None:
    training = load_settings(profile(tmp_path, BLOCKS)).training
    assert (training.lora_rank, training.epochs) == (4, 2)


@pytest.mark.parametrize("text", ["? [a, b]\n: 1\n", "? {a: 1}\n: 1\n"])
def test_a_key_that_is_no_name_is_not_yaml_for_a_profile(tmp_path: Path, text: str) -> None:
    assert "is not YAML" in complaint(profile(tmp_path, text))
