"""What every section of the settings is made of: its base, the marks at its fields, the names of its settings.

Belongs here: what a mark means.
Does not belong here: the sections (rooms/), what is recorded (identity.py), what is refused (effects.py).
"""

import enum
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, SecretStr
from pydantic.fields import FieldInfo

PREFIX = "MEDCOT_"
Share = Annotated[float, Field(ge=0.0, le=1.0)]
Count = Annotated[int, Field(ge=1)]


class Section(BaseModel):
    """A stage's settings: unknown names are errors, values do not change once read."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Mark(enum.Enum):
    """What a field says of itself: `name: Annotated[int, NOT_IDENTITY]`."""

    NOT_IDENTITY = enum.auto()
    BY_NAME = enum.auto()


NOT_IDENTITY = Mark.NOT_IDENTITY
"""The field changes no output: speed, memory, secrets, and places of files, whose content counts instead."""
BY_NAME = Mark.BY_NAME
"""The field counts for the stages that name it, not for those that name its section."""


@dataclass(frozen=True)
class OnlyFor:
    """Marks a field, or a whole section, that has an effect only while another setting has one of some values.

    Given without that effect it is refused, and it is no part of an identity.

    Attributes:
        switch: the other setting: the name of a field beside it, or a dotted name. It may stand in the section marked.
        values: what the other setting has to be; none: it is to be set to anything, such as a folder.
        still_recorded: it is part of an identity also without effect, as it is in the artifacts of earlier releases.
    """

    switch: str
    values: tuple[Any, ...] = ()
    still_recorded: bool = False

    def within(self, section: str) -> "OnlyFor":
        """The same with the switch's dotted name, for a field of that section."""
        return self if "." in self.switch else replace(self, switch=f"{section}.{self.switch}")

    def is_met(self, settings: BaseModel) -> bool:
        """Whether what it marks has an effect; the switch is a dotted name."""
        value = value_of(settings, self.switch)
        return value in self.values if self.values else not is_nothing(value)


def setting_fields(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Every setting below a section, by its dotted name."""
    for name, field in model.model_fields.items():
        inner = section_of(field)
        if inner:
            yield from setting_fields(inner, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", field


def conditions(
    model: type[BaseModel], section: str = "", around: tuple[OnlyFor, ...] = ()
) -> Iterator[tuple[str, OnlyFor]]:
    """Every setting below a section by its dotted name, once for each condition of its own or of a section around it.

    Args:
        model: the section.
        section: its dotted name; empty for all settings.
        around: conditions of the section itself.
    """
    for name, field in model.model_fields.items():
        dotted, marks = f"{section}.{name}".lstrip("."), (*around, *conditions_at(field, section))
        inner = section_of(field)
        if inner:
            yield from conditions(inner, dotted, marks)
        else:
            yield from ((dotted, mark) for mark in marks if mark.switch != dotted)


def conditions_at(field: FieldInfo, section: str) -> list[OnlyFor]:
    """The conditions at a field of a section, switches by their dotted names."""
    return [mark.within(section) for mark in field.metadata if isinstance(mark, OnlyFor)]


def section_of(field: FieldInfo) -> type[BaseModel] | None:
    """The section that a field holds, if it holds one."""
    kind = field.annotation
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


def value_of(settings: BaseModel, name: str) -> Any:
    """The value of a setting by its dotted name."""
    value: Any = settings
    for part in name.split("."):
        value = getattr(value, part)
    return value


def is_nothing(value: Any) -> bool:
    """Whether a setting with this value is not set."""
    return value is None or value == "" or (isinstance(value, SecretStr) and not value.get_secret_value())


def variable_of(setting: str) -> str:
    """The environment variable of a setting, by its dotted name."""
    return f"{PREFIX}{setting.replace('.', '__').upper()}"
