"""Where Dagster's home and the data folder may lie."""

import os
from pathlib import Path

import pytest

from medcot_pipeline.orchestration.instance.home import dagster_home, open_instance
from medcot_pipeline.settings import data_dir, project_root
from medcot_pipeline.support.errors import MedcotError


@pytest.fixture(autouse=True)
def unset(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DAGSTER_HOME", "MEDCOT_DATA_DIR"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("name", ["50%20off", "what?", "a?b%41"])
def test_a_home_whose_databases_would_lie_elsewhere_is_refused_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Staged after sqlalchemy/sqlalchemy#11234 (a question mark) and cachix/devenv#2492 (%2F): another database."""
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / name))
    with pytest.raises(MedcotError) as raised, open_instance():
        pass
    assert str(raised.value).startswith(f"DAGSTER_HOME={tmp_path / name}: SQLite would put its databases elsewhere")
    assert "\n" not in str(raised.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["50% off", "a#b", "[a] b", "病例"])
def test_a_home_with_other_unusual_characters_holds_its_databases(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Staged after symfony/symfony#45295: a # in the path of a SQLite database."""
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / name))
    with open_instance() as instance:
        assert instance.get_runs() == []
    assert (tmp_path / name / "history" / "runs.db").is_file()
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_an_empty_variable_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """Staged after pypa/pipx#1876: an empty path becomes the working folder, and files land in a checkout."""
    monkeypatch.setenv("DAGSTER_HOME", "")
    monkeypatch.setenv("MEDCOT_DATA_DIR", "")
    assert dagster_home() == project_root() / ".dagster"
    assert data_dir() == project_root() / "data"


def test_the_users_folder_is_meant_by_a_tilde(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Staged after dagster-io/dagster#1631: a folder that is named ~."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("DAGSTER_HOME", "~/home")
    monkeypatch.setenv("MEDCOT_DATA_DIR", "~/data")
    assert dagster_home() == tmp_path / "home"
    assert data_dir() == tmp_path / "data"


def test_a_tilde_of_nobody_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDCOT_DATA_DIR", "~nobody-of-that-name/data")
    with pytest.raises(MedcotError, match="MEDCOT_DATA_DIR=~nobody-of-that-name/data: there is no such user"):
        data_dir()
    assert os.environ["MEDCOT_DATA_DIR"]
