"""How the work on a text grows with its length.

Belongs here: telling linear from quadratic by comparing a text with one four times as long, on any machine.
Does not belong here: how long anything takes in seconds.
"""

import time
from collections.abc import Callable

LENGTH = 100_000
"""Characters of the shorter text; the longer one has four times as many."""


def grows_linearly(work: Callable[[str], object], unit: str, length: int = LENGTH) -> bool:
    """Whether work on a text four times as long takes less than eight times the processor time (quadratic: 16).

    The least of three measurements counts, since other processes only ever add time.

    Args:
        work: what is done with a text.
        unit: the text is this, repeated.
        length: characters of the shorter text.
    """
    short, long = (min(_seconds(work, unit * (size // len(unit))) for _ in range(3)) for size in (length, 4 * length))
    return long < 8 * short


def _seconds(work: Callable[[str], object], text: str) -> float:
    start = time.process_time()
    work(text)
    return time.process_time() - start
