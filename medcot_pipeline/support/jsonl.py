"""Records of dataclasses as JSON lines.

Belongs here: writing and reading them.
Does not: files that others made (record_files.py).
"""

import dataclasses
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")


def write_jsonl(path: Path, records: Iterable[Any]) -> None:
    """Write dataclass records as JSON lines, UTF-8."""
    lines = (json.dumps(dataclasses.asdict(record), ensure_ascii=False) for record in records)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def read_jsonl(path: Path, record: type[T]) -> list[T]:
    """Read JSON lines into dataclass records; a line ends at a newline, and not at U+2028 or U+0085 in a text."""
    return [record(**json.loads(line)) for line in path.read_text(encoding="utf-8").split("\n") if line]
