"""The records of a file, exactly as they are.

A record that cannot be read without losing a value (a row of more cells than columns, an object that names a field
twice) is no record: it comes out as what is wrong with it.

Belongs here: the formats, and gzip around them.
Does not belong here: which texts of a record make a row (corpus/sources/forms.py), tables as this project writes them
(support/table_files.py).
"""

import csv
import dataclasses
import gzip
import io
import json
import sys
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl

from medcot_pipeline.support.errors import MedcotError, printable
from medcot_pipeline.support.table_files import read_parquet

FORMATS = (".json", ".jsonl", ".ndjson", ".csv", ".parquet")
"""Suffixes of files with rows; each may have `.gz` behind it."""
KNOWN_FORMATS = ".json, .jsonl, .ndjson, .csv or .parquet, each also with .gz behind it"
UNPACKED_BYTES = 64 * 2**20
UNPACKED_TIMES = 100
"""A file may unpack to the larger of so many bytes and so many times its own size; text rarely packs to a twentieth."""


@dataclasses.dataclass(frozen=True)
class BrokenRecord:
    """What is wrong with a record, and what it held."""

    problem: str
    held: str


def file_format(path: Path) -> str:
    """The one of `FORMATS` that a file's name says, whatever the case and with or without `.gz`; "" for another."""
    suffix = Path(path.name.lower().removesuffix(".gz")).suffix
    return suffix if suffix in FORMATS else ""


def read_records(path: Path) -> Iterator[tuple[str, Any]]:
    """Pairs of place in the file and record: any JSON value, or `BrokenRecord`.

    Raises:
        MedcotError: the file is not of its format or not UTF-8, or its header names a column twice.
    """
    kind = file_format(path)
    if kind == ".parquet":
        yield from _parquet_records(path)
    elif kind in (".jsonl", ".ndjson"):
        yield from read_json_lines(path)
    elif kind == ".csv":
        yield from _csv_records(path, _read_text(path))
    else:
        for number, record in enumerate(_json_array(path, _read_text(path)), start=1):
            yield f"row {number:,}", record


def _read_bytes(path: Path) -> bytes:
    if not path.name.lower().endswith(".gz"):
        return path.read_bytes()
    most = max(UNPACKED_BYTES, UNPACKED_TIMES * path.stat().st_size)
    try:
        with gzip.open(path) as file:
            data = file.read(most + 1)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise MedcotError(f"{path}: cannot be unpacked ({error}).", "Compress or copy it again.") from error
    if len(data) > most:
        raise MedcotError(
            f"{path}: unpacks to more than {most:,} bytes from {path.stat().st_size:,}.",
            "If that is meant, unpack it with `gunzip` and name the unpacked file.",
        )
    return data


def _read_text(path: Path) -> str:
    data = _read_bytes(path)
    try:
        return data.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise MedcotError(
            f"{path}, line {line:,}: not UTF-8 (byte {data[error.start]:#04x} at offset {error.start:,}).",
            "Save the file as UTF-8.",
        ) from error


def _parquet_records(path: Path) -> Iterator[tuple[str, Any]]:
    try:
        frame = read_parquet(_read_bytes(path) if path.name.lower().endswith(".gz") else path)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise MedcotError(f"{path}: not a Parquet file ({str(error).splitlines()[0][:120]}).") from error
    for number, record in enumerate(frame.iter_rows(named=True), start=1):
        yield f"row {number:,}", record


def _csv_records(path: Path, text: str) -> Iterator[tuple[str, Any]]:
    csv.field_size_limit(sys.maxsize)
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    header: list[str] = []
    begins = 1
    try:
        for cells in reader:
            if cells and not header:
                header = cells
                _refuse_repeated_columns(path, begins, header)
            elif cells:
                yield f"line {begins:,}", _csv_record(header, cells)
            begins = reader.line_num + 1
    except csv.Error as error:
        raise MedcotError(
            f"{path}: not CSV ({error}) in the row that begins at line {begins:,}.",
            "Quotes inside a quoted field are doubled.",
        ) from error


def _refuse_repeated_columns(path: Path, line: int, header: list[str]) -> None:
    twice = [name for name, count in Counter(header).items() if name and count > 1]
    if twice:
        raise MedcotError(
            f"{path}, line {line:,}: the header names the column {twice[0]} more than once.",
            "Rename or remove one of them.",
        )


def _csv_record(header: list[str], cells: list[str]) -> dict[str, str] | BrokenRecord:
    problem = ""
    if len(cells) != len(header):
        hint = ": a field with a comma in it is put in quotes" if len(cells) > len(header) else ""
        problem = f"{len(cells)} cells under {len(header)} columns{hint}"
    elif any(cell.strip() and not name for name, cell in zip(header[1:], cells[1:], strict=True)):
        problem = "a value under a column without a name"  # the first such column is the index that pandas writes
    elif _is_several_rows(cells):
        problem = (
            f"each of its lines is a row of {len(header)} cells, and a stray quotation mark at the start of a field "
            "joins them; put the field in quotes and double the mark"
        )
    if problem:
        return BrokenRecord(problem, json.dumps(cells, ensure_ascii=False))
    return {name: cell for name, cell in zip(header, cells, strict=True) if name}


def _is_several_rows(cells: list[str]) -> bool:
    """Whether every line of a row is a whole row by itself, once the quotes around fields of several lines are text.

    A field that is meant to have several lines is next to never like that: its first line, its last line and each one
    between would have just the commas that are lacking.
    """
    counts = [0]
    for cell in cells:
        first, *further = cell.split("\n")
        counts[-1] += 1 + (first.count(",") if further else 0)
        counts += [1 + line.count(",") for line in further]
    return len(cells) > 1 and len(counts) > 1 and all(count == len(cells) for count in counts)


def _json_array(path: Path, text: str) -> list[Any]:
    try:
        records = json.loads(text, object_pairs_hook=_json_object)
    except json.JSONDecodeError as error:
        raise MedcotError(
            f"{path}, line {error.lineno:,}: not JSON ({error.msg}).",
            "A .json file is one array of rows; name a file with a row per line .jsonl.",
        ) from error
    except (ValueError, RecursionError) as error:
        raise MedcotError(f"{path}: JSON that cannot be read ({_json_problem(error)}).") from error
    if not isinstance(records, list):
        kind = "dict" if isinstance(records, BrokenRecord) else type(records).__name__
        raise MedcotError(f"{path}: a .json file must be an array of rows, not {kind}.")
    return records


def read_json_lines(path: Path) -> Iterator[tuple[str, Any]]:
    """Pairs of line and value of a file with a JSON value in each line, whatever its name; `BrokenRecord` for another.

    Raises:
        MedcotError: the file is not UTF-8.
    """
    for number, line in enumerate(_read_text(path).split("\n"), start=1):
        if line.strip():
            try:
                record = json.loads(line, object_pairs_hook=_json_object)
            except (ValueError, RecursionError) as error:
                record = BrokenRecord(f"not JSON ({_json_problem(error)}): {line[:80]}", line)
            if isinstance(record, BrokenRecord):
                record = BrokenRecord(record.problem, line)
            yield f"line {number:,}", record


def _json_problem(error: ValueError | RecursionError) -> str:
    return error.msg if isinstance(error, json.JSONDecodeError) else str(error).partition(";")[0]


def _json_object(pairs: list[tuple[str, Any]]) -> dict[str, Any] | BrokenRecord:
    """The object of these names and values; `BrokenRecord` where it, or an object within it, has a name twice."""
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(name for name, count in Counter(name for name, _ in pairs).items() if count > 1)
        return BrokenRecord(
            f'the field "{printable(twice)}" stands in it more than once', json.dumps(pairs, default=str)
        )
    return next(filter(None, map(_broken_in, found.values())), found)


def _broken_in(value: Any) -> BrokenRecord | None:
    if isinstance(value, list):
        return next(filter(None, map(_broken_in, value)), None)
    return value if isinstance(value, BrokenRecord) else None
