"""Profiles of one's own, and what is said of them.

Belongs here: a profile written for a test, the message of settings that are refused.
"""

from pathlib import Path

import pytest

from medcot_pipeline.settings import load_settings
from medcot_pipeline.support.errors import MedcotError


def profile(folder: Path, text: str) -> str:
    """The name of a profile with this text."""
    path = folder / "own.yaml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def complaint(name: str | None = None) -> str:
    """What is said of the settings of a profile, in one line."""
    with pytest.raises(MedcotError) as raised:
        load_settings(name)
    message = str(raised.value)
    assert "\n" not in message
    return message
