"""Frozen evaluation prompts.

Belongs here: their fields, and reading a file of them.
Does not: what is known of a set of prompts (evaluation/answers/prompts.py).
"""

import dataclasses
import json
from pathlib import Path
from typing import Any

from medcot_pipeline.support.errors import MedcotError
from medcot_pipeline.support.row_files import BrokenRecord, read_json_lines


@dataclasses.dataclass(frozen=True)
class Prompt:
    """A frozen evaluation prompt."""

    id: str
    language: str
    category: str
    prompt: str
    emergency: bool = False
    constraints: tuple[dict[str, Any], ...] = ()


def read_prompts(path: Path, limit: int | None = None) -> list[Prompt]:
    """The first `limit` prompts of a JSONL file.

    Raises:
        MedcotError: no such file, a line that is no prompt, an identifier given twice, or no prompt at all.
    """
    if not path.is_file():
        raise MedcotError(f"{path}: no such file of prompts.", "Set MEDCOT_ANSWERS__PROMPTS to a JSONL file.")
    prompts: list[Prompt] = []
    seen: set[str] = set()
    for where, fields in read_json_lines(path):
        if isinstance(fields, BrokenRecord):
            raise MedcotError(f"{path}, {where}: not a prompt ({fields.problem}).")
        try:
            json.dumps(fields, ensure_ascii=False).encode()  # half of a character could not be written again
            prompt = Prompt(**{**fields, "constraints": tuple(fields.get("constraints", ()))})
        except (ValueError, TypeError, AttributeError, RecursionError) as error:
            raise MedcotError(f"{path}, {where}: not a prompt ({error}).") from error
        for name in ("id", "prompt", "language", "category"):
            value = getattr(prompt, name)
            if not isinstance(value, str) or not (value.strip() or name in ("language", "category")):
                raise MedcotError(f'{path}, {where}: field "{name}" is {value!r}, not text.')
        if prompt.id in seen:
            raise MedcotError(f"{path}, {where}: the id {prompt.id} stands twice.", "Give it another id.")
        seen.add(prompt.id)
        prompts.append(prompt)
    if not prompts:
        raise MedcotError(
            f"{path}: no prompt in it.", "Each line is a JSON object with id, prompt, language, category."
        )
    return prompts[:limit]
