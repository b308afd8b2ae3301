"""Rules that a program can check about an answer: its form, and what the prompt explicitly asked for.

Belongs here: one pure function per rule, and which rules an answer passes.
Does not: both arms side by side (paired.py), whether an answer is right or better (evaluation/judging/,
evaluation/people/), reading files.

A constraint in a prompt is `{"rule": NAME, "value": VALUE}`, with NAME out of `CONSTRAINT_RULES`. It is checked twice:
strictly, on the answer as it stands, and loosely, where one of the usual wrappings around an answer may be taken off
(Zhou et al. 2023, IFEval).
"""

import dataclasses
import json
import re
import unicodedata
import zlib
from collections.abc import Callable, Mapping
from typing import Any

from medcot_pipeline.records.answers import Answer
from medcot_pipeline.records.prompts import Prompt
from medcot_pipeline.support.errors import MedcotError

LOOP_RATIO = 0.25
"""Compressed bytes per byte below which text repeats itself.

Answers and reasoning of medical-o1-reasoning-SFT stand at .38 to .71 (833 sample texts), loops at .03.
"""
LOOP_MIN_CHARS = 300
HAN_SHARE_ZH = 0.7
HAN_SHARE_EN = 0.3

_HAN = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")
_LATIN = re.compile(r"[A-Za-z\u00c0-\u024f]")
_ITEM = re.compile(
    r"""^[ \t\u3000]*(?:\#{1,6}[ ]+)?(?:\*\*)?(?:  # Markdown headings and bold type may stand before the mark
        (?P<number>[0-9０-９]{1,2}(?:[.．](?![0-9０-９])|[、)）]))  # not a decimal such as 2.5
      | (?P<bracket>[(（][0-9０-９一二三四五六七八九十]{1,3}[)）])
      | (?P<circle>[\u2460-\u2473])
      | (?P<han>[一二三四五六七八九十]{1,3}、)
      | (?P<step>第[0-9一二三四五六七八九十]{1,3}步)
      | (?P<dash>-(?![-0-9]))  # not a rule, not a negative number
    )""",
    re.MULTILINE | re.VERBOSE,
)
_FENCED = re.compile(r"```[a-z]*\n(.*?)```", re.DOTALL)


def think_closed(prompt: Prompt, answer: Answer) -> bool:
    """The reasoning block was closed by `</think>` once, and no second one was opened in it or after it."""
    return answer.closed and "</think>" not in answer.answer and "<think>" not in answer.reasoning + answer.answer


def answer_present(prompt: Prompt, answer: Answer) -> bool:
    """There is text after the reasoning block."""
    return bool(answer.answer.strip())


def finished(prompt: Prompt, answer: Answer) -> bool:
    """The model ended by its end token, not at the token limit."""
    return answer.finished


def not_looping(prompt: Prompt, answer: Answer) -> bool:
    """Neither part repeats itself: zlib leaves at least `LOOP_RATIO` of a part of `LOOP_MIN_CHARS` characters."""
    parts = [part.encode() for part in (answer.reasoning, answer.answer) if len(part) >= LOOP_MIN_CHARS]
    return all(len(zlib.compress(part, 9)) / len(part) >= LOOP_RATIO for part in parts)


def language_matches(prompt: Prompt, answer: Answer) -> bool:
    """Han / (Han + Latin) characters of the answer fit the prompt's language; no letters at all do not.

    Raises:
        MedcotError: the prompt's language is neither zh nor en.
    """
    if prompt.language not in ("zh", "en"):
        raise MedcotError(f'Prompt {prompt.id}: language "{prompt.language}" has no rule.', "Use zh or en.")
    text = unicodedata.normalize("NFKC", answer.answer)
    han, latin = len(_HAN.findall(text)), len(_LATIN.findall(text))
    if han + latin == 0:
        return False
    share = han / (han + latin)
    return share >= HAN_SHARE_ZH if prompt.language == "zh" else share <= HAN_SHARE_EN


def max_chars(answer: Answer, value: int) -> bool:
    """The answer has at most `value` characters, without white space, after NFKC."""
    return len("".join(unicodedata.normalize("NFKC", answer.answer).split())) <= value


def exact_items(answer: Answer, value: int) -> bool:
    """The answer lists exactly `value` items, marked at line starts.

    Marks are `1.` `1、` `（1）` `①` `一、` `第一步` and `-`. The first mark's kind is the list's: other kinds are
    items inside an item, or headings, and do not count.
    """
    kinds = [match.lastgroup for match in _ITEM.finditer(answer.answer)]
    return (kinds.count(kinds[0]) if kinds else 0) == value


def must_contain(answer: Answer, value: str | list[str]) -> bool:
    """Every given text occurs in the answer, whatever its case or width."""
    return all(_plain(text) in _plain(answer.answer) for text in _texts(value))


def must_not_contain(answer: Answer, value: str | list[str]) -> bool:
    """None of the given texts occurs in the answer, whatever its case or width."""
    return not any(_plain(text) in _plain(answer.answer) for text in _texts(value))


def json_keys(answer: Answer, value: str | list[str]) -> bool:
    """The answer is one JSON object that has the given keys."""
    try:
        found = json.loads(answer.answer)
    except (ValueError, RecursionError):
        return False
    return isinstance(found, dict) and set(_texts(value)) <= set(found)


FORMAT_RULES: Mapping[str, Callable[[Prompt, Answer], bool]] = {
    "think_closed": think_closed,
    "answer_present": answer_present,
    "finished": finished,
    "not_looping": not_looping,
    "language_matches": language_matches,
}
CONSTRAINT_RULES: Mapping[str, Callable[[Answer, Any], bool]] = {
    "max_chars": max_chars,
    "exact_items": exact_items,
    "must_contain": must_contain,
    "must_not_contain": must_not_contain,
    "json_keys": json_keys,
}
TAUGHT = ("think_closed",)
"""Rules about a form that tuning teaches and the base never saw: they say whether it was learnt, and compare nobody."""
MEANINGS: Mapping[str, str] = {
    "think_closed": "reasoning block closed once",
    "answer_present": "text after the reasoning",
    "finished": "ended by itself, not at the token limit",
    "not_looping": "does not repeat itself",
    "language_matches": "answer in the prompt's language",
    "max_chars": "within the asked length",
    "exact_items": "exactly the asked number of items",
    "must_contain": "says what was asked for",
    "must_not_contain": "leaves out what was excluded",
    "json_keys": "is a JSON object with the asked keys",
}


def check_answer(prompt: Prompt, answer: Answer, *, loose: bool = False) -> dict[str, bool]:
    """Which rules the answer passes: every format rule, and the constraints that the prompt carries.

    A rule that the prompt carries more than once passes when it passes each time. An answer that is empty, or was cut
    at the token limit, fails every constraint: saying nothing, or not coming to an end, is no way to keep a limit.

    Args:
        prompt: the prompt.
        answer: an answer to it.
        loose: a constraint passes where the answer passes without one of its wrappings (`unwrapped`).

    Raises:
        MedcotError: a constraint names no known rule, or its value has the wrong type.
    """
    outcome = {name: rule(prompt, answer) for name, rule in FORMAT_RULES.items()}
    whole = outcome["answer_present"] and outcome["finished"]
    variants = unwrapped(answer) if loose else [answer]
    for constraint in prompt.constraints:
        name = _known_rule(prompt, constraint)
        passed = whole and any(CONSTRAINT_RULES[name](variant, constraint["value"]) for variant in variants)
        outcome[name] = outcome.get(name, True) and passed
    return outcome


def unwrapped(answer: Answer) -> list[Answer]:
    """The answer as it is, without its first line, its last line or both, each without asterisks, and fenced blocks."""
    lines = answer.answer.strip().split("\n")
    texts = [answer.answer, *("\n".join(part) for part in (lines[1:], lines[:-1], lines[1:-1]))]
    texts += [text.replace("*", "") for text in texts] + _FENCED.findall(answer.answer)
    return [dataclasses.replace(answer, answer=text) for text in texts if text.strip()]


def _known_rule(prompt: Prompt, constraint: Mapping[str, Any]) -> str:
    name, value = constraint.get("rule"), constraint.get("value")
    if name not in CONSTRAINT_RULES:
        raise MedcotError(f'Prompt {prompt.id}: unknown rule "{name}".', f"Known: {', '.join(CONSTRAINT_RULES)}.")
    wants_number = name in ("max_chars", "exact_items")
    is_number = isinstance(value, int) and not isinstance(value, bool) and value >= 0
    is_text = bool(_texts(value)) and all(isinstance(text, str) and text for text in _texts(value))
    if not (is_number if wants_number else is_text):
        kind = "a whole number" if wants_number else "a text or a list of texts"
        raise MedcotError(f"Prompt {prompt.id}: rule {name} needs {kind} as value, not {value!r}.")
    return str(name)


def _texts(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _plain(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold()
