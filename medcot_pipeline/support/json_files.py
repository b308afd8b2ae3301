"""JSON files as this project writes them: UTF-8, readable, a line feed at the end.

Belongs here: writing and reading one value, and writing it in one step where a reader may look at any time.
Does not: JSON lines (records/), canonical JSON for hashes (artifacts/identity.py).
"""

import json
from pathlib import Path
from typing import Any

from medcot_pipeline.artifacts.disk import sync


def write_json(path: Path, value: object) -> None:
    """Write a value; the folder is made where it is missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def replace_json(path: Path, value: object) -> None:
    """Write a value in one step: whoever reads the file finds the old or the new one whole; on disk on return."""
    temporary = path.with_name(f".{path.name}.part")
    write_json(temporary, value)
    sync(temporary)
    temporary.replace(path)
    sync(path.parent)


def read_json(path: Path) -> Any:
    """Read a value."""
    return json.loads(path.read_text(encoding="utf-8"))
