"""Constraints on what an answer says: texts in it, at its ends, in an order, or a label instead of an answer.

Belongs here: finding a text as a word, and one pure function per constraint.
Does not belong here: lists, lengths and shapes (lists.py, lengths.py, shapes.py).
"""

import re
from collections.abc import Iterator
from typing import Any

from medcot_pipeline.evaluation.answers.rules.lists import is_item
from medcot_pipeline.evaluation.answers.rules.text import WRITTEN_WITHOUT_SPACES, plain, visible
from medcot_pipeline.records.answers import Answer
from medcot_pipeline.records.prompts import Prompt

_BEFORE = re.compile(r"不|勿|别|莫|禁|忌|避免|\b(?:not|never|no|avoid\w*|without|nor|neither)\b|n't\b")
_AFTER = re.compile(
    r"不(?:能|要|可|宜|应|得|该|推荐|建议)|没有?(?:用|效|帮助|必要)|无(?:用|效|益|助)|并无|禁|勿|有害|加重|"
    r"\b(?:not|never|avoid\w*|worse\w*|harm\w*)\b|n't\b"
)
_SENTENCE = re.compile(r"[。！？；!?;\n]+|(?<=[^\W\d])\.(?=\s|$)")
_NEW_CLAUSE = re.compile(r"，(?!\s*(?:包括|例如|比如|尤其|特别|如|或|也|和))")
_AROUND_A_LABEL = " \t\n\"'.,。！!；;:「」『』《》〈〉()[]【】`、"
_SPACED = rf"(?!{WRITTEN_WITHOUT_SPACES.pattern})[^\W_]"  # a letter or digit that makes a word longer
_NOT_BEFORE = rf"(?<!{_SPACED})"
_NOT_AFTER = rf"(?!{_SPACED})"
_NUMBER_NOT_BEFORE = r"(?<!-)(?<!\d[.,:/~^至到])(?<!\d [/~-] )"
_NUMBER_NOT_AFTER = r"(?![.,:/~^-]\d)(?! ?[/~至到] ?\d)(?! - \d)(?! ?%)"


def texts(value: Any) -> list[Any]:
    """One text or a list of them, as a list."""
    return value if isinstance(value, list) else [value]


def must_contain(prompt: Prompt, answer: Answer, value: str | list[str]) -> bool:
    """Every given text occurs in the answer as a word, whatever its case or width."""
    return all(found_in(answer.answer, text) for text in texts(value))


def must_not_contain(prompt: Prompt, answer: Answer, value: str | list[str]) -> bool:
    """None of the given texts occurs in the answer as a word, whatever its case or width."""
    return not any(found_in(answer.answer, text) for text in texts(value))


def warns_against(prompt: Prompt, answer: Answer, value: str | list[str]) -> bool:
    """Every given text occurs, each time with a negation: 不要涂抹牙膏, 牙膏不能用, do not use butter.

    The negation stands before the text in its clause, behind it in its sentence, or in the line that opens its list.
    """
    statements = [_NEW_CLAUSE.sub("\N{DOUBLE VERTICAL LINE}", each) for each in _statements(answer.answer)]
    for text in texts(value):
        named = [
            (plain(each)[: match.start()].rpartition("\N{DOUBLE VERTICAL LINE}")[2], plain(each)[match.end() :])
            for each in statements
            for match in re.finditer(_pattern(text), plain(each))
        ]
        if not named or not all(_BEFORE.search(before) or _AFTER.search(after) for before, after in named):
            return False
    return True


def _statements(text: str) -> Iterator[str]:
    """The sentences of a text; those of a list's items begin with the line that opens it."""
    opening = ""
    for line in visible(text).split("\n"):
        if not is_item(line) and line.strip():
            opening = line.strip() if line.rstrip(" *").endswith((":", "：")) else ""
        yield from (f"{opening if is_item(line) else ''}{part}" for part in _SENTENCE.split(line) if part)


def begins_with(prompt: Prompt, answer: Answer, value: str) -> bool:
    """The answer begins with the given text, as a word."""
    return re.match(_pattern(value), plain(answer.answer)) is not None


def ends_with(prompt: Prompt, answer: Answer, value: str) -> bool:
    """The answer ends with the given text, as a word; a full stop may follow a text that has none."""
    text = plain(answer.answer)
    return any(re.search(f"{_pattern(value)}$", end) for end in (text, text.rstrip(" .。!")))


def one_of(prompt: Prompt, answer: Answer, value: list[str]) -> bool:
    """The answer is exactly one of the given labels: "same day" is not "emergency", nor is a sentence with a label."""
    said = plain(answer.answer).strip(_AROUND_A_LABEL)
    return said in [plain(label).strip(_AROUND_A_LABEL) for label in texts(value)]


def in_order(prompt: Prompt, answer: Answer, value: list[str]) -> bool:
    """The given texts occur in the answer once each, in the given order."""
    text = plain(answer.answer)
    places = sorted((match.start(), name) for name in value for match in re.finditer(_pattern(name), text))
    return [name for _, name in places] == value


def found_in(text: str, wanted: str) -> bool:
    """Whether a text occurs as a word in another; Chinese, which has no spaces, occurs wherever it stands.

    AED is not in `paediatric`; 120 is in none of `1200`, `120/80`, `120.5`, `-120` and `120%`.
    """
    return re.search(_pattern(wanted), plain(text)) is not None


def _pattern(wanted: str) -> str:
    """The pattern of a text among what `plain` gives, with the borders that its first and last characters need."""
    text = plain(wanted)
    before = _border(text[0], _NOT_BEFORE, _NUMBER_NOT_BEFORE)
    return before + re.escape(text) + _border(text[-1], _NOT_AFTER, _NUMBER_NOT_AFTER)


def _border(char: str, spaced: str, number: str) -> str:
    if not char.isalnum() or WRITTEN_WITHOUT_SPACES.match(char):
        return ""
    return spaced + (number if char.isdigit() else "")
