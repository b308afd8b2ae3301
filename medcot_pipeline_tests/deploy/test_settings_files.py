"""The settings that `deploy/` ships: no secrets, and nothing of the one-person instance forgotten."""

from importlib import resources
from typing import Any

import pytest
import yaml

from medcot_pipeline.settings.load import load_settings
from medcot_pipeline_tests.deploy.served import DEPLOY


def leaves(settings: Any, prefix: str = "") -> dict[str, Any]:
    """Every value of a YAML mapping by its dotted name."""
    if not isinstance(settings, dict):
        return {prefix: settings}
    return {name: value for key, below in settings.items() for name, value in leaves(below, f"{prefix}.{key}").items()}


def test_a_team_has_every_setting_of_the_one_person_instance() -> None:
    personal = (resources.files("medcot_pipeline.orchestration.instance") / "dagster.yaml").read_text(encoding="utf-8")
    team = leaves(yaml.safe_load((DEPLOY / "dagster.yaml").read_text()))
    assert {name: team.get(name) for name in leaves(yaml.safe_load(personal))} == leaves(yaml.safe_load(personal))


def test_the_connection_comes_from_the_environment_alone() -> None:
    connection = yaml.safe_load((DEPLOY / "dagster.yaml").read_text())["storage"]["postgres"]["postgres_db"]
    assert {name: connection[name] for name in ("hostname", "port", "username", "password", "db_name")} == {
        "hostname": {"env": "PGHOST"},
        "port": {"env": "PGPORT"},
        "username": {"env": "PGUSER"},
        "password": {"env": "PGPASSWORD"},
        "db_name": {"env": "PGDATABASE"},
    }
    assert connection["scheme"] == "postgresql+psycopg2"


def test_the_environment_file_holds_settings_that_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    for line in (DEPLOY / "medcot.env").read_text().splitlines():
        if not line.startswith("#"):
            monkeypatch.setenv(*line.split("=", 1))
    assert load_settings()
