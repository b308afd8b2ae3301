"""JSON files as this project writes them: UTF-8, readable, a line feed at the end.

Belongs here: writing and reading one value.
Does not: how a file comes on disk (files.py), JSON lines (table_files.py), canonical JSON for hashes
(artifacts/identity.py).
"""

import json
from pathlib import Path
from typing import Any

from medcot_pipeline.support.files import write_whole


def write_json(path: Path, value: object) -> None:
    """Write a value in one step, as `write_whole` does; the folder is made where it is missing."""
    write_whole(path, json.dumps(value, ensure_ascii=False, indent=1) + "\n")


def read_json(path: Path) -> Any:
    """Read a value."""
    return json.loads(path.read_text(encoding="utf-8"))
