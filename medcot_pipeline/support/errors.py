"""Errors written for the person who must act.

Belongs here: the one base class that commands turn into a single line, what is behind an error, the name that was
meant, and a file that is not there told from one that cannot be read.
Does not belong here: errors that mean a defect of this project (those keep their traceback).
"""

import contextlib
import difflib
import errno
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

NOT_THERE = (FileNotFoundError, NotADirectoryError, IsADirectoryError)
"""What says that there is no such file; any other error of the system says that it cannot be read right now."""


class MedcotError(Exception):
    """Something outside the code is wrong: the message names the file, row or setting, the value, and the way out."""

    def __init__(self, problem: str, way_out: str = "") -> None:
        """Args: problem: what is wrong, with the value seen. way_out: what to do about it, a sentence or nothing."""
        super().__init__(printable(f"{problem} {way_out}".strip()))


def printable(text: str) -> str:
    r"""Text that can be written as UTF-8: a file name's other bytes stand there as \xb2, half an emoji as \ud83d."""
    return "".join(_escaped(char) if "\ud800" <= char <= "\udfff" else char for char in text)


def _escaped(surrogate: str) -> str:
    byte = ord(surrogate) - 0xDC00  # as Python carries a byte that is not UTF-8
    return f"\\x{byte:02x}" if 0x80 <= byte <= 0xFF else f"\\u{ord(surrogate):04x}"


class Unreadable(MedcotError):
    """A file or folder cannot be read right now: nothing is known of it, so nothing may follow from it."""


@contextlib.contextmanager
def reading(path: Path) -> Iterator[None]:
    """Tell what is not there from what cannot be read now: permission, too many open files, a disk that is away.

    Raises:
        FileNotFoundError, NotADirectoryError, IsADirectoryError: there is no such file.
        Unreadable: it cannot be read.
    """
    try:
        yield
    except NOT_THERE:
        raise
    except OSError as error:
        name = errno.errorcode.get(error.errno or 0, error.__class__.__name__)
        raise Unreadable(
            f"{error.filename or path}: cannot be read right now ({name}: {error.strerror or error}); it was left "
            "unchanged.",
            "Fix that and try again.",
        ) from error


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """An error and everything behind it, nearest first."""
    seen: set[int] = set()  # Dagster's errors can lead back to themselves
    while error is not None and id(error) not in seen:
        yield error
        seen.add(id(error))
        error = error.__cause__ or error.__context__


def comes_of(error: BaseException | None, *numbers: int) -> bool:
    """Whether one of some errors of the system is behind an error; libraries in Rust say so by their text alone.

    Args:
        error: the error.
        numbers: as in `errno`.
    """
    texts = [os.strerror(number) for number in numbers]
    return any(
        (isinstance(each, OSError) and each.errno in numbers) or any(text in str(each) for text in texts)
        for each in causes(error)
    )


def nearest(name: str, known: Iterable[str]) -> str:
    """The known name that is most like a wrong one, as a question to put behind it; nothing where none is like it."""
    matches = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f" (did you mean {matches[0]}?)" if matches else ""
