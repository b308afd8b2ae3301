"""Tables that this project wrote itself: Parquet, and records of dataclasses as JSON lines.

polars takes a path for a pattern: `rows[1].parquet` reads `rows1.parquet`, and nothing is found in a folder called
`[llm] data`. An open file has no name that could be taken for anything else.

Belongs here: every reading of a table by polars (a test asserts that no other module does it), and of own JSON lines.
Does not belong here: what a table holds, or rows as people bring them (row_files.py).
"""

import dataclasses
import io
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import polars as pl

from medcot_pipeline.support.files import write_whole

T = TypeVar("T")


def read_parquet(source: Path | bytes, columns: Sequence[str] | None = None) -> pl.DataFrame:
    """The table of a Parquet file, or these columns of it.

    Args:
        source: the file, or what it holds.
        columns: columns to read, all by default.

    Raises:
        OSError: the file cannot be opened.
        PolarsError: it is not Parquet.
    """
    with io.BytesIO(source) if isinstance(source, bytes) else source.open("rb") as file:
        return pl.read_parquet(file, columns=None if columns is None else list(columns))


def write_jsonl(path: Path, records: Iterable[Any]) -> None:
    """Write dataclass records as JSON lines, UTF-8."""
    lines = (json.dumps(dataclasses.asdict(record), ensure_ascii=False) for record in records)
    write_whole(path, "".join(f"{line}\n" for line in lines))


def read_jsonl(path: Path, record: type[T]) -> list[T]:
    """Read JSON lines into dataclass records; a line ends at a newline, and not at U+2028 or U+0085 in a text."""
    return [record(**json.loads(line)) for line in path.read_text(encoding="utf-8").split("\n") if line]
