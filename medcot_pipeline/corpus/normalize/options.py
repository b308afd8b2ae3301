"""The options of a multiple-choice question, and which of them a text chooses.

Belongs here: telling the stem from the options, the letter that a reasoning or an answer settles on.
Does not: judging whether that letter is right (nobody here knows).
"""

import re
from typing import NamedTuple

_AT_LINE = re.compile(r"^ *[（(]?([A-J])(?:[.．、:：)）] ?| +)(?=\S)", re.MULTILINE)
_ANYWHERE = re.compile(r"(?:^|(?<=[\s，。；？?！：、)）]))([A-J])[.．:：] ?(?=\S)", re.MULTILINE)
_CHOICE = re.compile(
    r"(?:答案[^，。；\n]{0,6}?(?:是|为|选|：)|[应故因此]选择?|选择?(?:选项|答案)|选项是"
    r"|answer(?: is| would be| should be)?)(?:选项|option)?[\s*：:“\"(（]*((?-i:[A-J]))(?![A-Za-z])",
    re.IGNORECASE,
)
_NAMED = re.compile(r"(?<![A-Za-z])([A-J])(?:选?项)?[\s.．、:：)），,“\"”*]*即?")
_MENTIONED = re.compile(r"(?:选项?|选择|[Oo]ption|[（(])\s?([A-J])(?![A-Za-z0-9])|(?<![A-Za-z0-9])([A-J])选?项")
CONCLUSION = 80
"""Characters at the end of a text within which a single mentioned option is the one chosen."""


class ParsedQuestion(NamedTuple):
    """A question taken apart: the stem, and the text of each option by its letter (none for an open question)."""

    stem: str
    options: dict[str, str]


def _run_from_a(markers: list[re.Match[str]], least: int) -> list[re.Match[str]]:
    """The last run A, B, C, ... among the markers, in order, if it has the least number of letters."""
    run: list[re.Match[str]] = []
    for marker in markers:
        if marker[1] == "A":
            run = [marker]
        elif run and ord(marker[1]) == ord(run[-1][1]) + 1:
            run.append(marker)
    return run if len(run) >= least else []


def split_options(question: str) -> ParsedQuestion:
    """Separate stem and options: at least two lines that start with A, B, ..., or three markers within lines."""
    lines = _run_from_a(list(_AT_LINE.finditer(question)), 2)
    inline = _run_from_a(list(_ANYWHERE.finditer(question)), 3)
    run = inline if len(inline) >= len(lines) else lines
    if not run:
        return ParsedQuestion(question, {})
    ends = [marker.start() for marker in run[1:]] + [len(question)]
    options = {marker[1]: question[marker.end() : end].strip() for marker, end in zip(run, ends, strict=True)}
    return ParsedQuestion(question[: run[0].start()].strip(), options)


def chosen_letter(text: str, options: dict[str, str]) -> str:
    """The letter of the option that a text settles on last, or an empty string.

    A letter counts after "答案是", "应选", "answer is" and the like, before the first words of its own option, or
    where the last `CONCLUSION` characters mention no other.
    """
    choices = [(match.start(1), match[1]) for match in _CHOICE.finditer(text)]
    for match in _NAMED.finditer(text):
        opening = options.get(match[1], "")[:4]
        if opening and text.startswith(opening, match.end()):
            choices.append((match.start(1), match[1]))
    end = list(_MENTIONED.finditer(text, max(0, len(text) - CONCLUSION)))
    if len({match[1] or match[2] for match in end}) == 1:
        choices.append((end[0].start(), end[0][1] or end[0][2]))
    return max(((place, letter) for place, letter in choices if letter in options), default=(0, ""))[1]
