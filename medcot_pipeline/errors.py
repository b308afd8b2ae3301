"""Errors written for the person who must act.

Belongs here: the one base class that commands turn into a single line, what is behind an error, and the
name that was meant.
Does not: errors that mean a defect of this project (those keep their traceback).
"""

import difflib
from collections.abc import Iterable, Iterator


class MedcotError(Exception):
    """Something outside the code is wrong: the message names the file, row or setting, the value, and the way out."""

    def __init__(self, problem: str, way_out: str = "") -> None:
        """Args: problem: what is wrong, with the value seen. way_out: what to do about it, a sentence or nothing."""
        super().__init__(f"{problem} {way_out}".strip())


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """An error and everything behind it, nearest first."""
    seen: set[int] = set()  # Dagster's errors can lead back to themselves
    while error is not None and id(error) not in seen:
        yield error
        seen.add(id(error))
        error = error.__cause__ or error.__context__


def nearest(name: str, known: Iterable[str]) -> str:
    """The known name that is most like a wrong one, as a question to put behind it; nothing where none is like it."""
    matches = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f" (did you mean {matches[0]}?)" if matches else ""
