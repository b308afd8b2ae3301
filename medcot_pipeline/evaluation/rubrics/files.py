"""Reading a file of rubrics.

Belongs here: what is refused, with file, line, prompt and field.
Does not belong here: which prompts are asked (records/prompts.py), grading (grading.py).
"""

import json
import re
from pathlib import Path
from typing import Any, get_args

from medcot_pipeline.records.rubrics.rubric import Axis, Criterion, Rubric
from medcot_pipeline.support.errors import MedcotError, nearest
from medcot_pipeline.support.row_files import BrokenRecord, read_json_lines

AXES: tuple[str, ...] = get_args(Axis)
FIELDS = ("id", "axis", "points", "criterion")
MOST_POINTS = 10
ID = re.compile(r"[\w.-]{1,40}")


class _Wrong(Exception):
    """What is wrong with a field, and how to mend it."""

    def __init__(self, problem: str, way_out: str = "") -> None:
        super().__init__(problem)
        self.way_out = way_out


def read_rubrics(path: Path) -> list[Rubric]:
    """The rubrics of a JSONL file.

    Raises:
        MedcotError: no such file, a line that is no rubric, a prompt given twice, or no rubric at all.
    """
    if not path.is_file():
        raise MedcotError(f"{path}: no such file of rubrics.", "Set MEDCOT_RUBRICS__FILE to a JSONL file.")
    rubrics: dict[str, Rubric] = {}
    for where, fields in read_json_lines(path):
        if isinstance(fields, BrokenRecord):
            raise MedcotError(f"{path}, {where}: not a rubric ({fields.problem}).")
        prompt_id = fields.get("prompt_id") if isinstance(fields, dict) else None
        if not isinstance(prompt_id, str) or not prompt_id.strip():
            raise MedcotError(
                f'{path}, {where}: field "prompt_id" is {_seen(prompt_id)}, not the id of a prompt.',
                'A line is {"prompt_id": "zh-002", "criteria": [...]}.',
            )
        if prompt_id in rubrics:
            raise MedcotError(
                f"{path}, {where}: the prompt {prompt_id} has a rubric already.", "Put both into one line."
            )
        try:
            rubrics[prompt_id] = _rubric(prompt_id, fields)
        except _Wrong as error:
            raise MedcotError(f"{path}, {where}: prompt {prompt_id}, {error}.", error.way_out) from None
    if not rubrics:
        raise MedcotError(f"{path}: no rubric in it.", 'A line is {"prompt_id": "zh-002", "criteria": [...]}.')
    return list(rubrics.values())


def _rubric(prompt_id: str, fields: dict[str, Any]) -> Rubric:
    unknown = [name for name in fields if name not in ("prompt_id", "criteria")]
    if unknown:
        raise _Wrong(f'unknown field "{unknown[0]}"', "The fields are prompt_id and criteria.")
    given = fields.get("criteria")
    if not isinstance(given, list) or not given:
        raise _Wrong(f'field "criteria" is {_seen(given)}, not a list of criteria')
    criteria = tuple(_criterion(number, value) for number, value in enumerate(given, start=1))
    twice = next((each.id for number, each in enumerate(criteria) if each.id in {c.id for c in criteria[:number]}), "")
    if twice:
        raise _Wrong(f'field "id" of two criteria is {twice!r}', "Give each its own.")
    if all(each.points < 0 for each in criteria):
        raise _Wrong(
            'field "points" is below 0 in every criterion, so that there is no score',
            "Add what a good answer does, with points above 0.",
        )
    return Rubric(prompt_id, criteria)


def _criterion(number: int, value: Any) -> Criterion:
    where = f"criterion {number}"
    if not isinstance(value, dict):
        raise _Wrong(f"{where} is {_seen(value)}, not an object", f"Its fields are {', '.join(FIELDS)}.")
    wrong = next((name for name in value if name not in FIELDS), None) or next(
        (name for name in FIELDS if name not in value), None
    )
    if wrong:
        problem = "has the unknown field" if wrong in value else "has no field"
        raise _Wrong(f'{where} {problem} "{wrong}"', f"Its fields are {', '.join(FIELDS)}.")
    name, axis, points, text = (value[field] for field in FIELDS)
    if not isinstance(name, str) or not ID.fullmatch(name):
        raise _Wrong(f'{where}: field "id" is {_seen(name)}', "Give it letters, digits, - or _, such as c1.")
    if not isinstance(text, str) or not text.strip() or not _storable(text):
        raise _Wrong(f'{where}: field "criterion" is {_seen(text)}, not text')
    if axis not in AXES:
        hint = nearest(axis, AXES) if isinstance(axis, str) else ""
        raise _Wrong(f'{where}: field "axis" is {_seen(axis)}{hint}', f"The axes are {', '.join(AXES)}.")
    if type(points) is not int or not 0 < abs(points) <= MOST_POINTS:
        raise _Wrong(
            f'{where}: field "points" is {_seen(points)}',
            f"Give a whole number from -{MOST_POINTS} to {MOST_POINTS} other than 0; below 0 for harm.",
        )
    return Criterion(name, axis, points, text.strip())


def _storable(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _seen(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)[:60]
