"""Reading evaluation benchmarks: JSON, JSONL, CSV and Parquet files of a folder.

Belongs here: finding the files, reading one field of each.
Does not: comparing (overlap.py).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from medcot_pipeline.errors import MedcotError
from medcot_pipeline.folders import files_in

SUFFIXES = (".json", ".jsonl", ".csv", ".parquet")


@dataclass(frozen=True)
class Benchmark:
    """One file: its path within the folder, and the name and question of each item."""

    name: str
    items: list[str]
    questions: list[str]


def benchmark_files(folder: Path) -> dict[str, Path]:
    """Every benchmark file below a folder, by its path within it, sorted; files of other formats are passed over."""
    paths = (path for path in files_in(folder, deep=True) if path.suffix.lower() in SUFFIXES)
    return {path.relative_to(folder).as_posix(): path for path in paths}


def read_benchmarks(folder: Path, field: str, fields: Mapping[str, str]) -> list[Benchmark]:
    """Every benchmark file below the folder, by name.

    Args:
        folder: searched with its subfolders; other files in it are passed over.
        field: field of the question.
        fields: the field by file name, for files in which it is called otherwise.

    Raises:
        MedcotError: the folder is absent or has no such file, a file cannot be read, or it has no such field.
    """
    if not folder.is_dir():
        raise MedcotError(f"{folder}: no such folder.", "Set MEDCOT_SPLITS__BENCHMARK_DIR to the folder of benchmarks.")
    files = benchmark_files(folder)
    if not files:
        raise MedcotError(f"{folder}: no {', '.join(SUFFIXES)} file in it.", "Put the benchmarks there, one per file.")
    return [_benchmark(path, name, fields.get(path.name, field)) for name, path in files.items()]


def _benchmark(path: Path, name: str, field: str) -> Benchmark:
    rows = _rows(path)
    known = sorted({key for row in rows for key in row})
    if rows and field not in known:
        raise MedcotError(
            f'{path}: no field "{field}" (fields: {", ".join(known)}).',
            "Name the question's field with MEDCOT_SPLITS__BENCHMARK_QUESTION_FIELD, or for this file alone in "
            "splits.benchmark_fields.",
        )
    items = [str(row.get("id") or f"#{number}") for number, row in enumerate(rows, start=1)]
    return Benchmark(name, items, [str(row.get(field) or "") for row in rows])


def _rows(path: Path) -> list[dict[str, Any]]:
    try:
        match path.suffix.lower():
            case ".csv":
                return pl.read_csv(path, infer_schema=False).to_dicts()
            case ".parquet":
                return pl.read_parquet(path).to_dicts()
            case ".json":
                rows = json.loads(path.read_text(encoding="utf-8"))
            case _:
                rows = [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line.strip()]
    except (ValueError, OSError, pl.exceptions.PolarsError) as error:
        raise MedcotError(f"{path}: cannot be read ({str(error).splitlines()[0]}).") from error
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise MedcotError(f"{path}: not a list of objects.", "A benchmark has one object per question.")
    return rows
