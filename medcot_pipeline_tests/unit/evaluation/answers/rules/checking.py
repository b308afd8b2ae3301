"""Whether one answer passes one rule.

Belongs here: what the tests of the rules share.
Does not belong here: tests.
"""

import dataclasses
from typing import Any

from medcot_pipeline.evaluation.answers.rules import check_answer
from medcot_pipeline.records.answers import Answer
from medcot_pipeline.records.prompts import Prompt

ZERO_WIDTH = ("\u200b", "\u200c", "\u200d", "\u2060", "\u00ad", "\ufeff")
"""Zero-width space, non-joiner, joiner, word joiner, soft hyphen, byte order mark."""


def prompt(*constraints: dict[str, Any], language: str = "zh") -> Prompt:
    """A prompt with constraints."""
    return Prompt("p1", language, "consultation", "胸痛怎么办？", constraints=constraints)


def answer(text: str, **changes: Any) -> Answer:
    """An answer of the tuned arm that ended by itself."""
    return dataclasses.replace(Answer("p1", "tuned", "先想一想。", text, True, True, 40), **changes)


def passes(rule: str, text: str, value: Any, *, language: str = "zh", loose: bool = False) -> bool:
    """Whether an answer keeps one constraint."""
    return check_answer(prompt({"rule": rule, "value": value}, language=language), answer(text), loose=loose)[rule]
