"""Settings as they are without a variable of the environment."""

import os

import pytest


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever runs the tests may have settings of their own."""
    for name in [name for name in os.environ if name.upper().startswith("MEDCOT_")]:
        monkeypatch.delenv(name)
