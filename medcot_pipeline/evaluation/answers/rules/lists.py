"""Constraints on the items of a list, however its marks are written.

Belongs here: counting items at line starts or in one line, and one pure function per constraint.
Does not belong here: what a mark looks like (marks.py).
"""

from medcot_pipeline.evaluation.answers.rules.marks import (
    ItemMark,
    counts_up,
    marks_at_line_starts,
    marks_in_lines,
    prepared,
)
from medcot_pipeline.evaluation.answers.rules.text import says_something
from medcot_pipeline.records.answers import Answer
from medcot_pipeline.records.prompts import Prompt


def exact_items(prompt: Prompt, answer: Answer, value: int) -> bool:
    """The answer lists exactly `value` items, with bullets or numbers; none is empty, and numbers go 1, 2, 3.

    The first mark's kind is the list's: other kinds are items inside an item and do not count.
    """
    return count_items(answer.answer) == value


def numbered_items(prompt: Prompt, answer: Answer, value: int) -> bool:
    """The answer is a numbered list of exactly `value` items: none is empty, and the numbers go 1, 2, 3."""
    return count_items(answer.answer, numbered=True) == value


def min_numbered_items(prompt: Prompt, answer: Answer, value: int) -> bool:
    """The same of at least `value` items."""
    return (count_items(answer.answer, numbered=True) or 0) >= value


def count_items(text: str, *, numbered: bool = False) -> int | None:
    """Items of the text's list.

    Args:
        text: an answer.
        numbered: count numbered items alone, whatever bullets stand before or in them.

    Returns:
        The number of items of the first mark's kind, without those indented under one; where numbers start again
        inside an item, of those written as the first. 0 where there is no list, None where there is a broken one: with
        an item that is empty, or with numbers that do not go 1, 2, 3.
    """
    ready = prepared(text)
    marks = marks_at_line_starts(ready)
    first = next((mark for mark in marks if not numbered or mark.number is not None), None)
    if first is None or first.indent > marks[0].indent + 1:  # numbers inside a bullet
        return 0 if marks else _in_lines(ready)
    kind = [mark for mark in marks if mark.kind == first.kind]
    outer = [mark for mark in kind if mark.indent <= first.indent + 1]
    if first.number is None:
        return _filled(ready, outer)
    written_alike = [mark for mark in outer if mark.style == first.style]
    counted = next((_filled(ready, chosen) for chosen in (kind, outer, written_alike) if counts_up(chosen)), None)
    return counted if counted and counted > 1 else _in_lines(ready) or counted


def is_item(line: str) -> bool:
    """Whether a line begins with the mark of an item."""
    return bool(marks_at_line_starts(prepared(line)))


def _in_lines(text: str) -> int | None:
    """Items of a list that goes on in a line, such as `1. a 2. b` or `①……②……`; a single mark is none."""
    lists = [marks for marks in marks_in_lines(text) if len(marks) > 1 and counts_up(marks)]
    return _filled(text, lists[0]) if lists else 0


def _filled(text: str, marks: list[ItemMark]) -> int | None:
    """How many marks there are, if something stands behind each."""
    ends = [*(mark.start for mark in marks[1:]), len(text)]
    contents = [_paragraph(text[mark.end : end]) for mark, end in zip(marks, ends, strict=True)]
    return len(marks) if all(says_something(content) for content in contents) else None


def _paragraph(content: str) -> str:
    """What stands behind a mark up to a blank line, so that closing words are no content of an empty last item."""
    return content.lstrip(" \t").split("\n\n", 1)[0]
