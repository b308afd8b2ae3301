"""What an artifact shows to people, in a form that a manifest can keep and any page can render.

Belongs here: tables, pictures, text and file links, and their JSON form.
Does not belong here: how a page draws them.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any


@dataclasses.dataclass(frozen=True)
class Table:
    """Rows with the same plain-valued fields."""

    rows: Sequence[Mapping[str, str | int | float | bool | None]]


@dataclasses.dataclass(frozen=True)
class Picture:
    """A PNG file of the artifact, by its path inside the artifact."""

    path: str


@dataclasses.dataclass(frozen=True)
class Markdown:
    """Text in Markdown; whoever makes it escapes what comes from outside."""

    text: str


@dataclasses.dataclass(frozen=True)
class FileLink:
    """A file of the artifact, by its path inside the artifact."""

    path: str


Value = Table | Picture | Markdown | FileLink | str | int | float | bool
_TYPES: dict[str, type[Table | Picture | Markdown | FileLink]] = {
    "table": Table,
    "picture": Picture,
    "markdown": Markdown,
    "file": FileLink,
}


def to_json(value: Value) -> Any:
    """A value as plain JSON, tagged with its type where it is not a scalar."""
    for name, kind in _TYPES.items():
        if isinstance(value, kind):
            return {"type": name, **dataclasses.asdict(value)}
    return value


def from_json(value: Any) -> Value:
    """The inverse of `to_json`."""
    if isinstance(value, dict):
        fields = {key: field for key, field in value.items() if key != "type"}
        return _TYPES[value["type"]](**fields)
    return value  # type: ignore[no-any-return]
