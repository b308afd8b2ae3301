"""JSON files as this project writes them: UTF-8, readable, a line feed at the end.

Belongs here: writing and reading one value.
Does not: JSON lines (evaluation/records.py), canonical JSON for hashes (artifacts/fingerprints.py).
"""

import json
from pathlib import Path
from typing import Any


def write_json(path: Path, value: object) -> None:
    """Write a value; the folder is made where it is missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def read_json(path: Path) -> Any:
    """Read a value."""
    return json.loads(path.read_text(encoding="utf-8"))
