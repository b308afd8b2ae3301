"""Constraints on how long an answer is: characters, words, sentences.

Belongs here: counting each as the prompt's language counts it.
Does not belong here: items of a list (lists.py).
"""

import re
import unicodedata

from medcot_pipeline.evaluation.answers.rules.text import WRITTEN_WITHOUT_SPACES, says_something, visible
from medcot_pipeline.records.answers import Answer
from medcot_pipeline.records.prompts import Prompt

_ABBREVIATION = re.compile(
    r"\b(?:dr|mr|mrs|ms|prof|st)\.(?=\s+\S)|\bno\.(?=\s+\d)"
    r"|\b(?:e\.g|i\.e|etc|vs|approx|a\.m|p\.m|u\.s)\.(?=\s+[a-z0-9(\u4e00-\u9fff]|[,)])",
    re.IGNORECASE,
)
_ITEM_NUMBER = re.compile(r"^\s*[0-9]{1,2}[.)、](?![0-9])", re.MULTILINE)
_CLOSING = "”’\"'」』）)*"
_SENTENCE_END = re.compile(
    rf"[。！？!?]+(?![{_CLOSING}。！？!?])"
    rf"|(?:[。！？!?]+|\.)[{_CLOSING}]+(?=\s*$|\s+[^a-z\s]|[“‘「『（(])"  # not: “Stop!” he said
    r"|\.+(?=\s|$)|\n+"
)


def max_chars(prompt: Prompt, answer: Answer, value: int) -> bool:
    """The answer has at most `value` characters: white space counts but for that around the answer.

    In Chinese it does not count, as 字数 is used, and a sign such as ㎎ is the letters that NFKC makes of it.
    """
    text = visible(answer.answer).strip()
    if prompt.language == "zh":
        return len("".join(unicodedata.normalize("NFKC", text).split())) <= value
    return len(unicodedata.normalize("NFC", text)) <= value


def max_words(prompt: Prompt, answer: Answer, value: int) -> bool:
    """The answer has at most `value` words, which spaces and dashes part; each Chinese character is a word."""
    spaced = WRITTEN_WITHOUT_SPACES.sub(r" \g<0> ", visible(answer.answer))
    return sum(says_something(word) for word in re.split(r"[\s—–]+", spaced)) <= value


def exact_sentences(prompt: Prompt, answer: Answer, value: int) -> bool:
    """The answer has exactly `value` sentences; a line ends one, an abbreviation or a decimal does not."""
    text = _ABBREVIATION.sub(
        lambda found: found.group().replace(".", ""), _ITEM_NUMBER.sub("", visible(answer.answer)).strip()
    )
    return sum(says_something(part) for part in _SENTENCE_END.split(text)) == value
