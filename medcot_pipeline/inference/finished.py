"""Finished requests, kept one by one: after a kill, only the others are written.

Belongs here: the journal, and whether what stands in it still holds.
Does not belong here: writing (loaded.py, served/), what a text is worth.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

from medcot_pipeline.inference.requests import Request, WrittenText
from medcot_pipeline.support.journals import add_lines, read_lines
from medcot_pipeline.support.progress import Say

NAME = "written.jsonl"


class FinishedRequests:
    """What was written, by request; each is on disk before it counts as finished."""

    def __init__(self, work: Path, written_with: Mapping[str, str], say: Say) -> None:
        """Open the journal of a folder, or begin it.

        Args:
            work: folder of this work alone.
            written_with: what texts depend on beside their request, such as engine, versions and device; what was
                written with something else is dropped, so that nothing is mixed.
            say: told what was found.
        """
        self._path, self._say = work / NAME, say
        header = {"written_with": dict(written_with)}
        lines = read_lines(self._path)
        if lines and lines[0] != header:
            say("starting over: the finished requests were written on another device or with other versions")
            self._path.unlink()
            lines = []
        if not lines:
            add_lines(self._path, [header])
        self._kept = {line["digest"]: line for line in lines[1:]}

    def open(self, requests: Sequence[Request]) -> list[Request]:
        """The requests that are still to be written."""
        left = [request for request in requests if request.digest not in self._kept]
        if len(left) < len(requests):
            self._say(f"{len(requests) - len(left):,} of {len(requests):,} requests were already finished")
        return left

    def keep(self, made: Sequence[tuple[Request, WrittenText]], seconds: float = 0.0) -> None:
        """Keep what was written, and the seconds since the last was kept; on disk when this returns."""
        lines = [
            {"digest": request.digest, "written": dataclasses.asdict(written), "seconds": seconds / len(made)}
            for request, written in made
        ]
        if lines:
            add_lines(self._path, lines)
            self._kept |= {str(line["digest"]): line for line in lines}

    def collect(self, requests: Sequence[Request]) -> list[WrittenText]:
        """What was written for these requests, in their order; all must be finished."""
        found = [self._kept[request.digest]["written"] for request in requests]
        return [WrittenText(**{**each, "asked_otherwise": tuple(each["asked_otherwise"])}) for each in found]

    def seconds(self, requests: Sequence[Request]) -> float:
        """The seconds that writing these requests took, in however many runs."""
        return sum(float(self._kept[request.digest]["seconds"]) for request in requests)
