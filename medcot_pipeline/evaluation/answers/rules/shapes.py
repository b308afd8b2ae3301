"""Constraints on an answer's shape: JSON, a table, a number alone, the case of its letters, its language.

Belongs here: one pure function per constraint.
Does not belong here: lists and lengths (lists.py, lengths.py).
"""

import json
import re
from typing import Any, NoReturn

from medcot_pipeline.evaluation.answers.rules.language import LANGUAGES
from medcot_pipeline.evaluation.answers.rules.text import LATIN, plain, visible
from medcot_pipeline.evaluation.answers.rules.words import texts
from medcot_pipeline.records.answers import Answer
from medcot_pipeline.records.prompts import Prompt

_NUMBER = re.compile(r"[+-]?(?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]+)(?:\.[0-9]+)?")
_TABLE_RULE = re.compile(r"\|?\s*:?-+:?\s*(?:\|\s*:?-+:?\s*)*\|?")


def json_keys(prompt: Prompt, answer: Answer, value: str | list[str]) -> bool:
    """The answer is one JSON object, without other text, that has the given keys."""
    found = _json(answer.answer)
    return isinstance(found, dict) and set(texts(value)) <= set(found)


def json_list(prompt: Prompt, answer: Answer, value: int) -> bool:
    """The answer is one JSON array of `value` entries, without other text."""
    found = _json(answer.answer)
    return isinstance(found, list) and len(found) == value


def table_columns(prompt: Prompt, answer: Answer, value: list[str]) -> bool:
    """The answer has a Markdown table with the given columns, in their order, and a filled row at least."""
    lines = [line.strip() for line in visible(answer.answer).split("\n")]
    for head, rule, row in zip(lines, lines[1:], lines[2:], strict=False):
        drawn = "|" in head and "|" in row and _TABLE_RULE.fullmatch(rule) is not None
        if drawn and _cells(head) == [plain(name) for name in value]:
            return len(_cells(row)) == len(value) and all(_cells(row))
    return False


def number(prompt: Prompt, answer: Answer, value: float) -> bool:
    """The answer is this number and nothing else, in digits; a full stop may follow."""
    said = plain(answer.answer).rstrip(" .。")
    return _NUMBER.fullmatch(said) is not None and float(said.replace(",", "")) == value


def letter_case(prompt: Prompt, answer: Answer, value: str) -> bool:
    """Every Latin letter of the answer is of the given case, upper or lower, and there is one."""
    letters = "".join(LATIN.findall(visible(answer.answer)))
    return letters.isupper() if value == "upper" else letters.islower()


def language(prompt: Prompt, answer: Answer, value: str) -> bool:
    """The answer is in the given language, which may be another than the prompt's."""
    return LANGUAGES[value](answer.answer)


def _json(text: str) -> Any:
    """What a text is in JSON; None where it is none."""
    try:
        return json.loads(visible(text), parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return None


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _cells(line: str) -> list[str]:
    return [plain(cell.replace("*", "")) for cell in line.strip("|").split("|")]
