"""The records that evaluation stages hand to each other, one JSON object a line.

Belongs here: their fields, and reading and writing them.
Does not: computing anything.
"""

import dataclasses
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal, TypeVar

from medcot_pipeline.errors import MedcotError

Arm = Literal["base", "tuned", "incumbent"]
ARMS: tuple[Arm, Arm] = ("base", "tuned")
"""The arms of every evaluation. The incumbent, where there is one, stands beside them in files of its own."""
T = TypeVar("T")
Outcome = Literal["base", "tuned", "tie", "inconsistent", "invalid"]


@dataclasses.dataclass(frozen=True)
class Prompt:
    """A frozen evaluation prompt."""

    id: str
    language: str
    category: str
    prompt: str
    emergency: bool = False
    constraints: tuple[dict[str, Any], ...] = ()


@dataclasses.dataclass(frozen=True)
class Answer:
    """What one arm wrote for one prompt.

    `reasoning` is the text before `</think>`, or all of it where the block was never closed (`closed` is False, and
    `answer` empty). `finished` says that the model ended by its end token, not at the token limit.
    """

    prompt_id: str
    arm: Arm
    reasoning: str
    answer: str
    closed: bool
    finished: bool
    tokens: int


@dataclasses.dataclass(frozen=True)
class Verdict:
    """One judge's outcome for one prompt: the better arm, a tie, inconsistent between orders, or invalid."""

    prompt_id: str
    outcome: Outcome
    reason: str = ""


def read_prompts(path: Path, limit: int | None = None) -> list[Prompt]:
    """The first `limit` prompts of a JSONL file.

    Raises:
        MedcotError: no such file, a line that is no prompt, an identifier given twice, or no prompt at all.
    """
    if not path.is_file():
        raise MedcotError(f"{path}: no such file of prompts.", "Set MEDCOT_ANSWERS__PROMPTS to a JSONL file.")
    prompts: list[Prompt] = []
    seen: set[str] = set()
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise MedcotError(f"{path}: not UTF-8 ({error.reason}).", "Save the file as UTF-8.") from error
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            fields = json.loads(line)
            json.dumps(fields, ensure_ascii=False).encode()  # half of a character could not be written again
            prompt = Prompt(**{**fields, "constraints": tuple(fields.get("constraints", ()))})
        except (ValueError, TypeError, AttributeError, RecursionError) as error:
            raise MedcotError(f"{path}, line {number:,}: not a prompt ({error}).") from error
        for name in ("id", "prompt"):
            value = getattr(prompt, name)
            if not isinstance(value, str) or not value.strip():
                raise MedcotError(f'{path}, line {number:,}: field "{name}" is {value!r}, not text.')
        if prompt.id in seen:
            raise MedcotError(f"{path}, line {number:,}: the id {prompt.id} stands twice.", "Give it another id.")
        seen.add(prompt.id)
        prompts.append(prompt)
    if not prompts:
        raise MedcotError(
            f"{path}: no prompt in it.", "Each line is a JSON object with id, prompt, language, category."
        )
    return prompts[:limit]


def write_jsonl(path: Path, records: Iterable[Any]) -> None:
    """Write dataclass records as JSON lines, UTF-8."""
    lines = (json.dumps(dataclasses.asdict(record), ensure_ascii=False) for record in records)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def read_jsonl(path: Path, record: type[T]) -> list[T]:
    """Read JSON lines into dataclass records; a line ends at a newline, and not at U+2028 or U+0085 in a text."""
    return [record(**json.loads(line)) for line in path.read_text(encoding="utf-8").split("\n") if line]
