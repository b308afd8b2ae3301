import os
import subprocess
import sys
from pathlib import Path

import pytest

from medcot_pipeline.settings import Settings, load_settings, setting_fields, variable_of
from medcot_pipeline_tests.support.profiles import complaint, profile

PATHS = (
    "source.path",
    "source.incoming",
    "splits.benchmark_dir",
    "base_model.path",
    "perplexity.general_texts",
    "answers.prompts",
    "answers.vignettes",
    "answers.emergencies",
    "answers.general",
    "exams.folder",
    "rubrics.file",
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
    monkeypatch.setenv("MEDCOT_JUDGE__BASE_URL", "http://127.0.0.1:9/v1")
    monkeypatch.setenv("MEDCOT_JUDGE__MODEL", "judge")


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
@pytest.mark.usefixtures("kinds_of_paths")
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
