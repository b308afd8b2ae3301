"""Reading evaluation benchmarks and exams: JSON, JSONL, CSV and Parquet files that others made.

Belongs here: finding the files, their items, fields by name.
Does not belong here: formats and what makes a record unreadable (support/row_files.py), comparing (screen.py), options
and answers of an exam (evaluation/exams/files.py).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medcot_pipeline.support.errors import MedcotError
from medcot_pipeline.support.folders import files_in
from medcot_pipeline.support.row_files import FORMATS, BrokenRecord, file_format, read_records


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
    paths = (path for path in files_in(folder, deep=True) if file_format(path))
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
        raise MedcotError(f"{folder}: no {', '.join(FORMATS)} file in it.", "Put the benchmarks there, one per file.")
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
    for where, record in read_records(path):
        if isinstance(record, BrokenRecord):
            yield Item(where, {}, record.problem)
        elif isinstance(record, dict):
            yield Item(where, record)
        else:
            yield Item(where, {}, f"not an object but {type(record).__name__}")
