"""What of the settings is part of an artifact's identity.

Belongs here: values by the names under which manifests record them.
Does not belong here: which settings a stage reads (the stage says so), or which fields count (their marks say so).
"""

from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from medcot_pipeline.settings.root import Settings
from medcot_pipeline.settings.section import BY_NAME, NOT_IDENTITY, conditions_at
from medcot_pipeline.support.errors import nearest


def recorded(settings: Settings, *names: str) -> dict[str, Any]:
    """What an artifact's identity holds of the settings that its stage reads.

    A section gives an entry for each of its fields; a section inside it is the value of one. Left out is what its mark
    leaves out: `NOT_IDENTITY`, `BY_NAME` where the section is named, `OnlyFor` where it has no effect.

    Args:
        settings: all of them.
        names: sections ("normalize") and single settings ("sft.max_tokens").

    Returns:
        JSON values by dotted name, such as {"sft.max_tokens": 2048}.

    Raises:
        ValueError: there is no such setting, or it is marked as no part of an identity.
    """
    found: dict[str, Any] = {}
    for name in names:
        found |= _recorded(settings, name)
    return found


def _recorded(settings: Settings, name: str) -> dict[str, Any]:
    holder: BaseModel = settings
    value: Any = settings
    around: list[str] = []
    counts = True
    for part in name.split("."):
        if not isinstance(value, BaseModel) or part not in type(value).model_fields:
            raise ValueError(_unknown(name, value, around))
        holder, field = value, type(value).model_fields[part]
        if NOT_IDENTITY in field.metadata:
            raise ValueError(f"setting {name}: {part} is marked NOT_IDENTITY, so no stage can record it")
        counts = counts and _has_effect(settings, field, ".".join(around))
        value = getattr(value, part)
        around.append(part)
    if not counts:
        return {}
    if not isinstance(value, BaseModel):
        return {name: holder.model_dump(mode="json", include={around[-1]})[around[-1]]}
    included = {
        key
        for key, field in type(value).model_fields.items()
        if not (NOT_IDENTITY in field.metadata or BY_NAME in field.metadata) and _has_effect(settings, field, name)
    }
    return {f"{name}.{key}": each for key, each in value.model_dump(mode="json", include=included).items()}


def _has_effect(settings: Settings, field: FieldInfo, section: str) -> bool:
    return all(mark.still_recorded or mark.is_met(settings) for mark in conditions_at(field, section))


def _unknown(name: str, value: Any, around: list[str]) -> str:
    known = [".".join((*around, key)) for key in type(value).model_fields] if isinstance(value, BaseModel) else []
    return f"setting {name}: there is no such setting or section{nearest(name, known)}"
