"""Another value of a setting, whatever its type.

Belongs here: one value for each type that a setting has.
"""

import types
import typing
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, SecretStr


def another(annotation: Any, value: Any) -> Any:
    """Another value of a setting's type."""
    options = [kind for kind in typing.get_args(annotation) if kind is not type(None)]
    if typing.get_origin(annotation) is Literal:
        return next(option for option in options if option != value)
    if typing.get_origin(annotation) in (types.UnionType, typing.Union, typing.Annotated):
        return another(options[0], value)
    if isinstance(value, BaseModel):
        first = next(iter(type(value).model_fields))
        field = type(value).model_fields[first]
        return value.model_copy(update={first: another(field.annotation, getattr(value, first))})
    match value:
        case bool():
            return not value
        case int():
            return value + 1
        case float():
            return value / 2 + 0.01
        case str():
            return f"{value}x"
        case Path():
            return Path("elsewhere") / value
        case SecretStr():
            return SecretStr("another")
        case dict():
            return {**value, "another.jsonl": "text"}
        case tuple():
            return (*value, ("甲", "乙"))
        case None:
            return {int: 7, float: 7.5, str: "en", Path: Path("another")}[annotation]
    raise AssertionError(f"no other value of {annotation} than {value!r} is known")
