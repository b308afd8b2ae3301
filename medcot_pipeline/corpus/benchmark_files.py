"""Reading evaluation benchmarks and exams: JSON, JSONL, CSV and Parquet files that others made.

Belongs here: finding the files, taking each apart into items, what makes an item unreadable, fields by name.
Does not: comparing (overlap.py), options and answers of an exam (evaluation/exam_files.py), the source's rows.
"""

import csv
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from medcot_pipeline.errors import MedcotError
from medcot_pipeline.folders import files_in
from medcot_pipeline.table_files import read_parquet

SUFFIXES = (".json", ".jsonl", ".ndjson", ".csv", ".parquet")


@dataclass(frozen=True)
class Item:
    """One record of a file: where it stands, and its fields, or the problem where there are none."""

    where: str
    fields: dict[str, Any]
    problem: str = ""

    def field(self, name: str) -> Any:
        """The value of a field; `Question` is found as `question` where no other field is called so.

        Raises:
            KeyError: there is no such field.
        """
        if name in self.fields:
            return self.fields[name]
        (same,) = [each for each in self.fields if each.casefold() == name.casefold()] or [name]
        return self.fields[same]


@dataclass(frozen=True)
class Benchmark:
    """One file: its path within the folder, and the name and question of each item that can be read.

    Attributes:
        no_question: items without the field, or with something that is no text in it.
        unreadable: items that are no objects.
        note: in words, why items are left out, with the first of each kind; empty where none is.
    """

    name: str
    items: list[str]
    questions: list[str]
    no_question: int = 0
    unreadable: int = 0
    note: str = ""


def benchmark_files(folder: Path) -> dict[str, Path]:
    """Every benchmark file below a folder, by its path within it, sorted; files of other formats are passed over."""
    paths = (path for path in files_in(folder, deep=True) if path.suffix.lower() in SUFFIXES)
    return {path.relative_to(folder).as_posix(): path for path in paths}


def read_benchmarks(folder: Path, field: str, fields: Mapping[str, str]) -> list[Benchmark]:
    """Every benchmark file below the folder, by name.

    Args:
        folder: searched with its subfolders; other files in it are passed over.
        field: field of the question.
        fields: the field by file name or path within the folder, for files in which it is called otherwise.

    Raises:
        MedcotError: the folder is absent or has no such file, a file cannot be read, none of its items has the field,
            or `fields` names a file that is not there, or one name for several.
    """
    if not folder.is_dir():
        raise MedcotError(f"{folder}: no such folder.", "Set MEDCOT_SPLITS__BENCHMARK_DIR to the folder of benchmarks.")
    files = benchmark_files(folder)
    if not files:
        raise MedcotError(f"{folder}: no {', '.join(SUFFIXES)} file in it.", "Put the benchmarks there, one per file.")
    for given in fields:
        meant = [name for name, path in files.items() if given in (name, path.name)]
        if len(meant) != 1 and given not in files:
            raise MedcotError(
                f"splits.benchmark_fields names {given}, which is {' and '.join(meant) or f'no file below {folder}'}.",
                "Name each file by its path within the folder.",
            )
    return [_benchmark(path, name, fields.get(name) or fields.get(path.name, field)) for name, path in files.items()]


def _benchmark(path: Path, name: str, field: str) -> Benchmark:
    items, questions, without, unreadable = [], [], [], []
    for number, item in enumerate(read_items(path), start=1):
        if item.problem:
            unreadable.append(item)
            continue
        try:
            question = item.field(field)
        except (KeyError, ValueError):
            question = None
        if isinstance(question, str):
            given = item.fields.get("id")
            items.append(f"#{number}" if given in (None, "") else str(given))
            questions.append(question)
        else:
            without.append(item)
    notes = []
    if without:
        seen = ", ".join(sorted({name for item in without for name in item.fields}))
        known = any(each.casefold() == field.casefold() for each in without[0].fields)
        reason = f'no text in the field "{field}"' if known else f'no field "{field}" (fields: {seen})'
        notes.append(f"{len(without):,} with {reason}, first {without[0].where}")
    if unreadable:
        notes.append(f"{len(unreadable):,} not read, first {unreadable[0].where}: {unreadable[0].problem}")
    if notes and not items:
        raise MedcotError(
            f"{path}: {'; '.join(notes)}.",
            "Name the question's field with MEDCOT_SPLITS__BENCHMARK_QUESTION_FIELD, or for this file alone in "
            "splits.benchmark_fields."
            if without
            else "A benchmark has one object per question.",
        )
    return Benchmark(name, items, questions, len(without), len(unreadable), "; ".join(notes))


def read_items(path: Path) -> Iterator[Item]:
    """The items of a file, each with its line or row; a byte-order mark is no part of the first.

    Raises:
        MedcotError: the file is no UTF-8, or not what its name says as a whole.
    """
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        return _parquet_items(path)
    text = _text(path)
    if suffix == ".csv":
        return _csv_items(path, text)
    return _array_items(path, text) if suffix == ".json" else _line_items(text)


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise MedcotError(f"{path}: not UTF-8 ({error.reason}).", "Save the file as UTF-8.") from error


def _line_items(text: str) -> Iterator[Item]:
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            try:
                yield _item(f"line {number:,}", json.loads(line, object_pairs_hook=_each_once))
            except (ValueError, RecursionError) as error:
                yield Item(f"line {number:,}", {}, _problem(error))


def _array_items(path: Path, text: str) -> Iterator[Item]:
    try:
        records = json.loads(text, object_pairs_hook=_each_once)
    except (ValueError, RecursionError) as error:
        raise MedcotError(
            f"{path}: {_problem(error)}.", "A .json file is one array; name a file with an object per line .jsonl."
        ) from error
    if not isinstance(records, list):
        raise MedcotError(f"{path}: not a list of objects.", "A benchmark has one object per question.")
    for number, record in enumerate(records, start=1):
        yield _item(f"row {number:,}", record)


def _csv_items(path: Path, text: str) -> Iterator[Item]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = next(reader, [])
        if len(set(header)) < len(header):
            raise MedcotError(f"{path}: a column's name stands twice ({', '.join(header)}).", "Give each its own.")
        for cells in reader:
            where = f"line {reader.line_num:,}"
            if len(cells) > len(header):
                yield Item(where, {}, f"{len(cells)} cells under {len(header)} columns")
            elif cells:
                yield Item(where, dict(zip(header, cells, strict=False)))
    except csv.Error as error:
        raise MedcotError(f"{path}, line {reader.line_num:,}: not CSV ({error}).") from error


def _parquet_items(path: Path) -> Iterator[Item]:
    try:
        frame = read_parquet(path)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise MedcotError(f"{path}: not a Parquet file ({str(error).splitlines()[0][:120]}).") from error
    for number, record in enumerate(frame.iter_rows(named=True), start=1):
        yield Item(f"row {number:,}", record)


def _item(where: str, record: Any) -> Item:
    if isinstance(record, dict):
        return Item(where, record)
    return Item(where, {}, f"not an object but {type(record).__name__}")


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    record = dict(pairs)
    if len(record) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f'field "{next(name for name in names if names.count(name) > 1)}" stands twice')
    return record


def _problem(error: ValueError | RecursionError) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"not JSON ({error.msg})"
    return str(error).partition(";")[0]
