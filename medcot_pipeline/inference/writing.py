"""All requests of a stage, written by one model; what a killed run finished is not written again.

Belongs here: what a model must do to be asked, and the journal around it.
Does not belong here: how one writes (loaded.py, served/model.py), what a request asks or a text is worth (evaluation/).
"""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from medcot_pipeline.inference.finished import FinishedRequests
from medcot_pipeline.inference.requests import Request, WrittenText
from medcot_pipeline.support.progress import Say

KeepTexts = Callable[[Sequence[tuple[Request, WrittenText]]], None]
"""Takes what is finished, each request once."""
WriteRequests = Callable[[Sequence[Request], KeepTexts, str], None]
"""Writes requests to their ends; the text is the work's name in progress lines."""


class Writer(Protocol):
    """A model that can be asked to write: loaded in this process, or served elsewhere."""

    @property
    def generation_prompt(self) -> str:
        """What its chat template makes of a message, `PLACEHOLDER` in the message's place."""
        ...

    def written_with(self) -> dict[str, str]:
        """What texts depend on beside the request: what was written with something else is written anew."""
        ...

    def open(self, requests: Sequence[Request], say: Say) -> WriteRequests:
        """Make it ready for these requests, some of which may be finished.

        Raises:
            MedcotError: it cannot be asked, or not this.
        """
        ...


class TimedTexts(NamedTuple):
    """What was written, in the order of the requests, and the seconds that writing took, killed runs included."""

    texts: list[WrittenText]
    seconds: float


def write_requests(writer: Writer, requests: Sequence[Request], work: Path, say: Say, *, what: str) -> TimedTexts:
    """Have a model write requests.

    Args:
        writer: the model.
        requests: at least one; ids differ.
        work: folder for the finished requests of this work alone.
        say: where progress goes.
        what: the work's name in progress lines.

    Raises:
        MedcotError: the model cannot write them; what it wrote before is kept.
    """
    finished = FinishedRequests(work, writer.written_with(), say)
    if left := finished.open(requests):
        write = writer.open(requests, say)
        last = time.monotonic()

        def keep(made: Sequence[tuple[Request, WrittenText]]) -> None:
            nonlocal last
            if made:
                now = time.monotonic()
                finished.keep(made, now - last)
                last = now

        write(left, keep, what)
    return TimedTexts(finished.collect(requests), finished.seconds(requests))
