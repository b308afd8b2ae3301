"""The options of a multiple-choice question.

Belongs here: telling the stem from the options.
Does not belong here: which of them a text chooses (chosen.py).
"""

import re
from typing import NamedTuple

_AT_LINE = re.compile(r"^ *[（(]?([A-J])(?:[.．、:：)）] ?| +)(?=\S)", re.MULTILINE)
_ANYWHERE = re.compile(r"(?:^|(?<=[\s，。；？?！：、)）]))([A-J])[.．:：] ?(?=\S)", re.MULTILINE)


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
