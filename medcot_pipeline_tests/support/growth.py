"""How work grows with the length of what it is done with.

Belongs here: telling linear from quadratic by comparing an input with one four times as long, on any machine.
Does not belong here: how long anything takes in seconds.
"""

import time
from collections.abc import Callable
from typing import TypeVar

Input = TypeVar("Input")
LENGTH = 100_000
"""Characters of the shorter text; the longer one has four times as many."""


def texts(unit: str, length: int = LENGTH) -> tuple[str, str]:
    """One thing repeated, in a text of some characters and in one four times as long."""
    return unit * (length // len(unit)), unit * (4 * length // len(unit))


def grows_linearly(work: Callable[[Input], object], short: Input, long: Input) -> bool:
    """Whether work on an input four times as long takes less than eight times the processor time (quadratic: 16).

    The least of three measurements counts, since other processes only ever add time.
    """
    return min(_seconds(work, long) for _ in range(3)) < 8 * min(_seconds(work, short) for _ in range(3))


def _seconds(work: Callable[[Input], object], given: Input) -> float:
    start = time.process_time()
    work(given)
    return time.process_time() - start
