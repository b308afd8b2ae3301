"""Journals: files of JSON lines to which lines are added and in which none is changed.

A line is on disk when it was added. A power cut or a kill can leave the last one torn: readers skip it, and the next
line begins after it.

Belongs here: adding a value, and reading all of them.
Does not belong here: what a line says (inference/finished.py, evaluation/judging/calls.py, release/record.py).
"""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from medcot_pipeline.support.errors import NOT_THERE, reading
from medcot_pipeline.support.files import make_folder, sync


def add_line(path: Path, value: object) -> None:
    """Add a value as one line, in ASCII; on disk when this returns. Folder and file are made where they are missing."""
    add_lines(path, [value])


def add_lines(path: Path, values: Sequence[object]) -> None:
    """Add values, each as one line, in ASCII; all are on disk when this returns."""
    make_folder(path.parent)
    with path.open("a+b") as file:
        if file.tell():
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b"\n":
                file.write(b"\n")
        file.writelines(json.dumps(value).encode("ascii") + b"\n" for value in values)
        file.flush()
        os.fsync(file.fileno())
    sync(path.parent)


def read_lines(path: Path) -> list[Any]:
    """The values of all lines, the oldest first; none where there is no such file. What is no JSON is passed over.

    Raises:
        Unreadable: the file cannot be read right now.
    """
    try:
        with reading(path):
            written = path.read_bytes()
    except NOT_THERE:
        return []
    values = []
    for line in written.split(b"\n"):
        try:
            values.append(json.loads(line))
        except (ValueError, RecursionError):
            continue
    return values
