from pathlib import Path

import pytest

from medcot_pipeline.settings import Settings, load_settings, profile_names
from medcot_pipeline_tests.support.profiles import complaint, profile

BLOCKS = """
splits: {benchmark_dir: exams, benchmark_fields: &first {a: x, b: y}}
normalize: {actions: {<<: &second {<<: &third {too_short: flag}, too_short: drop}, needs_image: flag}}
training: {<<: {lora_rank: 3, epochs: 2}, lora_rank: 4}
"""


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


def test_a_value_out_of_range_in_a_profile_names_the_profile(tmp_path: Path) -> None:
    own = profile(tmp_path, "training: {lora_rank: -1}")
    message = complaint(own)
    assert message.startswith("Setting training.lora_rank = -1: ")
    assert message.endswith(f"(from profile {own}).")


def test_a_key_that_stands_twice_in_a_profile_is_refused_with_both_lines(tmp_path: Path) -> None:
    """Staged after yaml/pyyaml#165: the last of two blocks counts, and the first is lost."""
    own = profile(tmp_path, "training:\n  lora_rank: 3\nsource: {kind: sample}\ntraining:\n  epochs: 2\n")
    assert complaint(own) == f"Profile {own}: training appears twice, in line 1 and in line 4. Merge the two."


def test_so_is_a_setting_in_a_section_also_by_another_spelling(tmp_path: Path) -> None:
    own = profile(tmp_path, 'training:\n  lora_rank: 3\n  "lora_rank": 4\n')
    assert complaint(own) == f"Profile {own}: lora_rank appears twice, in line 2 and in line 3. Merge the two."


def test_a_block_that_is_taken_over_and_changed_is_no_key_twice(tmp_path: Path) -> None:
    training = load_settings(profile(tmp_path, BLOCKS)).training
    assert (training.lora_rank, training.epochs) == (4, 2)


@pytest.mark.parametrize("text", ["? [a, b]\n: 1\n", "? {a: 1}\n: 1\n"])
def test_a_key_that_is_no_name_is_not_yaml_for_a_profile(tmp_path: Path, text: str) -> None:
    assert "is not YAML" in complaint(profile(tmp_path, text))
