"""Progress of long work, as lines with the share done and the time left.

Belongs here: when to say something, and how a duration or a size reads.
Does not belong here: where the line goes (a log, a terminal, a web page).
"""

import re
import time
from collections.abc import Callable

Say = Callable[[str], None]
SECONDS_BETWEEN_LINES = 5.0


def duration(seconds: float) -> str:
    """Seconds as people say them: `48 s`, `3 min 05 s`, `2 h 10 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def age(seconds: float) -> str:
    """How long ago something was, in its largest unit: `48 s ago`, `3 min ago`, `5 h ago`, `12 days ago`."""
    for unit, length in (("days", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= length * (2 if unit == "days" else 1):
            return f"{int(seconds // length)} {unit} ago"
    return f"{int(seconds)} s ago"


def size_text(count: float) -> str:
    """Bytes as people say them: `1.2 GB`, `0.3 MB`, `12 kB`."""
    if count >= 1e9:
        return f"{count / 1e9:.1f} GB"
    return f"{count / 1e6:.1f} MB" if count >= 1e5 else f"{count / 1e3:.0f} kB"


def progress_line(what: str, done: int, total: int, seconds_left: float | None, detail: str = "") -> str:
    """How far a piece of work is; `seconds_left`: until its end, where that is known; `detail` is put behind."""
    left = "" if seconds_left is None else f", {duration(seconds_left)} left"
    suffix = f", {detail}" if detail else ""
    return f"{what}: {done:,} of {total:,} ({done / max(total, 1):.0%}){left}{suffix}"


_DONE_OF_TOTAL = re.compile(r": [\d,]+ of [\d,]+ \(\d+%\)")


def work_of(line: str) -> str | None:
    """The work that a line of `progress_line` tells of, with whatever stands before it; None of any other line."""
    found = _DONE_OF_TOTAL.search(line)
    return line[: found.start()] if found else None


class Progress:
    """Say how far a piece of work is, at most every `every` seconds; silent for work that is over sooner.

    The clock starts with the first piece done, so that loading and compiling before it do not count as speed.
    """

    def __init__(self, what: str, say: Say, *, every: float = SECONDS_BETWEEN_LINES) -> None:
        """Args: what: the work's name; say: where a line goes; every: seconds between lines."""
        self._what = what
        self._say = say
        self._every = every
        self._last = time.monotonic()
        self._first: tuple[float, int] | None = None

    def __call__(self, done: int, total: int, detail: str = "") -> None:
        """Note that `done` of `total` pieces are finished; `detail` is put behind the line."""
        now = time.monotonic()
        if self._first is None:
            self._first = (now, done)
        if now - self._last < self._every:
            return
        self._last = now
        start, before = self._first
        left = (now - start) / (done - before) * (total - done) if done > before else None
        self._say(progress_line(self._what, done, total, left, detail))
