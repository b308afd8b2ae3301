"""Constraints on what an answer says: texts in it, at its ends, in an order, or a label instead of an answer.

Belongs here: finding a text as a word, and one pure function per constraint.
Does not: lists, lengths and shapes (lists.py, lengths.py, shapes.py).
"""

import re
from typing import Any

from medcot_pipeline.evaluation.answers.rules.text import WRITTEN_WITHOUT_SPACES, plain
from medcot_pipeline.records.answers import Answer
from medcot_pipeline.records.prompts import Prompt

_NEGATION = re.compile(
    r"不|勿|别|莫|忌|禁|避免|防止|切忌|没有?必要|\b(?:not|never|no|avoid\w*|without|nor|neither|refrain\w*)\b|n't\b"
)
_SENTENCE = re.compile(r"[。！？；!?;\n]+|(?<=[^\W\d])\.(?=\s|$)")
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
    """Every given text occurs, and each sentence that names it also negates: 不要, 切勿, avoid, do not."""
    sentences = [sentence for sentence in _SENTENCE.split(answer.answer) if sentence]
    for text in texts(value):
        naming = [sentence for sentence in sentences if found_in(sentence, text)]
        if not naming or not all(_NEGATION.search(plain(sentence)) for sentence in naming):
            return False
    return True


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
