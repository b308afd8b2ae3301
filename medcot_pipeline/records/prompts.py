"""Frozen evaluation prompts.

Belongs here: their fields and sets, and reading a file of them.
Does not belong here: what is known of a set of prompts (evaluation/answers/prompts.py).
"""

import dataclasses
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal, get_args

from medcot_pipeline.support.errors import MedcotError
from medcot_pipeline.support.row_files import BrokenRecord, read_json_lines

PromptSet = Literal["instructions", "vignettes", "emergencies", "general"]
"""What a prompt is asked for.

- instructions: the frozen questions over which judge and people state preferences, with constraints on form.
- vignettes: cases and questions that leave out what matters; a right answer to those asks back. Graded by rubric.
- emergencies: what must be done now, today, or can wait. Held against the reference action.
- general: instructions that have nothing to do with medicine, which show what tuning made the model forget.
"""
Action = Literal["call now", "today", "can wait"]
"""What a person in the situation of a prompt should do: call an ambulance, see a doctor today, or wait."""
ACTIONS: tuple[Action, ...] = get_args(Action)


@dataclasses.dataclass(frozen=True)
class Prompt:
    """A frozen evaluation prompt; `reference` is the right action, of the set emergencies alone."""

    id: str
    language: str
    category: str
    prompt: str
    emergency: bool = False
    constraints: tuple[dict[str, Any], ...] = ()
    set: PromptSet = "instructions"
    reference: Action | None = None


def of_set(prompts: Iterable[Prompt], name: PromptSet) -> list[Prompt]:
    """The prompts of one set, in their order."""
    return [prompt for prompt in prompts if prompt.set == name]


def read_prompts(path: Path, limit: int | None = None, name: PromptSet = "instructions") -> list[Prompt]:
    """The first `limit` prompts of a JSONL file, as those of one set.

    Raises:
        MedcotError: no such file, a line that is no prompt, an identifier given twice, or no prompt at all.
    """
    if not path.is_file():
        setting = "MEDCOT_ANSWERS__PROMPTS" if name == "instructions" else f"MEDCOT_ANSWERS__{name.upper()}"
        raise MedcotError(f"{path}: no such file of prompts.", f"Set {setting} to a JSONL file.")
    prompts: list[Prompt] = []
    seen: set[str] = set()
    for where, fields in read_json_lines(path):
        if isinstance(fields, BrokenRecord):
            raise MedcotError(f"{path}, {where}: not a prompt ({fields.problem}).")
        try:
            json.dumps(fields, ensure_ascii=False).encode()  # half of a character could not be written again
            prompt = Prompt(**{**fields, "constraints": tuple(fields.get("constraints", ())), "set": name})
        except (ValueError, TypeError, AttributeError, RecursionError) as error:
            raise MedcotError(f"{path}, {where}: not a prompt ({error}).") from error
        for field in ("id", "prompt", "language", "category"):
            value = getattr(prompt, field)
            if not isinstance(value, str) or not (value.strip() or field in ("language", "category")):
                raise MedcotError(f'{path}, {where}: field "{field}" is {value!r}, not text.')
        if (prompt.reference is not None) != (name == "emergencies") or prompt.reference not in (None, *ACTIONS):
            wanted = f"one of {', '.join(ACTIONS)}" if name == "emergencies" else "given for emergencies alone"
            raise MedcotError(f'{path}, {where}: field "reference" is {prompt.reference!r}: it is {wanted}.')
        if prompt.id in seen:
            raise MedcotError(f"{path}, {where}: the id {prompt.id} appears twice.", "Give it another id.")
        seen.add(prompt.id)
        prompts.append(prompt)
    if not prompts:
        raise MedcotError(
            f"{path}: no prompt in it.", "Each line is a JSON object with id, prompt, language, category."
        )
    return prompts[:limit]
