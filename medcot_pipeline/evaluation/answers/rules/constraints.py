"""The constraints that a prompt may carry, with the values that each takes.

Belongs here: the table of constraints, and refusing a constraint that could not be checked.
Does not belong here: the constraints themselves (words.py, lists.py, lengths.py, shapes.py).
"""

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from medcot_pipeline.evaluation.answers.rules import lengths, lists, shapes, words
from medcot_pipeline.evaluation.answers.rules.language import LANGUAGES
from medcot_pipeline.evaluation.answers.rules.text import plain
from medcot_pipeline.records.answers import Answer
from medcot_pipeline.records.prompts import Prompt
from medcot_pipeline.support.errors import MedcotError, nearest


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(plain(value))


def _are_different_texts(value: Any) -> bool:
    if not isinstance(value, list) or not value or not all(_is_text(text) for text in value):
        return False
    return len({plain(text) for text in value}) == len(value)


_COUNT = (_is_count, "a whole number of at least 1")
_COUNT_OR_NONE = (lambda value: _is_count(value) or (value == 0 and type(value) is int), "a whole number")
_TEXT = (_is_text, "a text")
_LIST = (_are_different_texts, "a list of different texts")
_TEXTS = (lambda value: _is_text(value) or _are_different_texts(value), "a text or a list of different texts")
_NUMBER = (lambda value: type(value) in (int, float) and math.isfinite(value), "a number")
_CASE = (lambda value: value in ("upper", "lower"), "upper or lower")
_LANGUAGE = (lambda value: isinstance(value, str) and value in LANGUAGES, "zh or en")
_TABLE: tuple[tuple[Callable[[Prompt, Answer, Any], bool], tuple[Callable[[Any], bool], str], str], ...] = (
    (lengths.max_chars, _COUNT, "within the asked length"),
    (lengths.max_words, _COUNT, "within the asked number of words"),
    (lengths.exact_sentences, _COUNT, "exactly the asked number of sentences"),
    (lists.exact_items, _COUNT_OR_NONE, "exactly the asked number of items"),
    (lists.numbered_items, _COUNT, "a numbered list of the asked number of items"),
    (lists.min_numbered_items, _COUNT, "numbered steps"),
    (words.must_contain, _TEXTS, "says what was asked for"),
    (words.must_not_contain, _TEXTS, "leaves out what was excluded"),
    (words.warns_against, _TEXTS, "warns against what was asked"),
    (words.begins_with, _TEXT, "begins as asked"),
    (words.ends_with, _TEXT, "ends as asked"),
    (words.one_of, _LIST, "exactly one of the offered labels"),
    (words.in_order, _LIST, "in the asked order"),
    (shapes.json_keys, _TEXTS, "is a JSON object with the asked keys"),
    (shapes.json_list, _COUNT, "is a JSON array of the asked length"),
    (shapes.table_columns, _LIST, "has a table with the asked columns"),
    (shapes.number, _NUMBER, "is the right number alone"),
    (shapes.letter_case, _CASE, "in the asked letter case"),
    (shapes.language, _LANGUAGE, "in the asked language"),
)
CONSTRAINT_RULES: Mapping[str, Callable[[Prompt, Answer, Any], bool]] = {rule.__name__: rule for rule, _, _ in _TABLE}
CONSTRAINT_MEANINGS: Mapping[str, str] = {rule.__name__: meaning for rule, _, meaning in _TABLE}
_VALUES = {rule.__name__: value for rule, value, _ in _TABLE}


def refuse_wrong_constraints(prompts: Iterable[Prompt]) -> None:
    """Refuse prompts that could not be checked, before anything is paid for their answers.

    Raises:
        MedcotError: a prompt's language has no rule, a constraint names no known rule, or its value is of a wrong kind;
            names the prompt, the rule and the value.
    """
    for prompt in prompts:
        if prompt.language not in LANGUAGES:
            raise MedcotError(f'Prompt {prompt.id}: language "{prompt.language}" has no rule.', "Use zh or en.")
        for constraint in prompt.constraints:
            _refuse_wrong(prompt, constraint)


def _refuse_wrong(prompt: Prompt, constraint: Any) -> None:
    if not isinstance(constraint, Mapping) or not {"rule", "value"} >= set(constraint):
        raise MedcotError(
            f"Prompt {prompt.id}: the constraint {constraint!r} is no rule with a value.",
            'Write {"rule": NAME, "value": VALUE}.',
        )
    name, value = constraint.get("rule"), constraint.get("value")
    if not isinstance(name, str) or name not in CONSTRAINT_RULES:
        known = ", ".join(CONSTRAINT_RULES)
        raise MedcotError(
            f'Prompt {prompt.id}: unknown rule "{name}"{nearest(str(name), list(CONSTRAINT_RULES))}.',
            f"Known: {known}.",
        )
    fits, kind = _VALUES[name]
    if not fits(value):
        raise MedcotError(f"Prompt {prompt.id}: rule {name} needs {kind} as value, not {value!r}.")
