"""The record of what was promoted: `promoted/decisions.jsonl`, a line for every decision and move, the oldest first.

Belongs here: reading it, adding to it, and what it says of an adapter.
Does not belong here: copies and links, which follow it (promoted.py).
"""

import dataclasses
import datetime
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from medcot_pipeline.artifacts.manifest import Manifest
from medcot_pipeline.support.journals import add_line, read_lines

Event = Literal["promoted", "stays promoted", "stays candidate", "rolled back", "taken over", "removed"]
"""Of a decision, or of a move without one: a rollback; a link of an earlier version, or of a person, that was taken
over as it was; a link that a person removed."""
MOVES: tuple[Event, ...] = ("promoted", "rolled back", "taken over", "removed")
"""After these another adapter is promoted than before, or none."""
ARRIVALS: tuple[Event, ...] = ("promoted", "taken over")
"""After these an adapter is promoted that was not before, and the line says which one it took over from."""


@dataclasses.dataclass(frozen=True)
class Adapter:
    """An adapter as the record names it.

    Attributes:
        fingerprint: the recipe; made again, it can have another content.
        content: content hash; None in lines of earlier versions, which did not write it.
    """

    fingerprint: str
    content: str | None

    @classmethod
    def of(cls, manifest: Manifest) -> "Adapter":
        """The adapter of a manifest."""
        return cls(manifest.fingerprint, manifest.content_hash)

    @classmethod
    def named(cls, line: Mapping[str, Any], role: str) -> "Adapter | None":
        """The adapter that a line names as `adapter` or `predecessor`, a decision as `adapter` or `incumbent`."""
        return cls(line[role], line.get(f"{role}_content")) if line[role] else None

    def is_same(self, other: "Adapter | None") -> bool:
        """Whether both have one content; or one recipe, where the content of either is not known."""
        if other is None:
            return False
        if self.content and other.content:
            return self.content == other.content
        return self.fingerprint == other.fingerprint


def names(adapter: Adapter | None, role: str) -> dict[str, str | None]:
    """The fields of a line or a decision that `Adapter.named` reads."""
    return {
        role: adapter.fingerprint if adapter else None,
        f"{role}_content": adapter.content if adapter else None,
    }


class Record:
    """The record of one data folder. Only lines are added, never changed."""

    def __init__(self, path: Path) -> None:
        """Args: path: decisions.jsonl, whether it is there or not."""
        self._path = path

    def lines(self) -> list[dict[str, Any]]:
        """All lines; one that a power cut left torn is passed over.

        Raises:
            Unreadable: the record cannot be read right now.
        """
        return read_lines(self._path)

    def moves(self, after: int = 0) -> list[dict[str, Any]]:
        """The lines after which another adapter was promoted; the first `after` lines are left out."""
        return [line for line in self.lines()[after:] if line["event"] in MOVES]

    def promoted(self) -> Adapter | None:
        """The adapter that the last move promoted; None where it was removed, or there was no move."""
        moves = self.moves()
        return Adapter.named(moves[-1], "adapter") if moves else None

    def predecessor(self, adapter: Adapter | None) -> Adapter | None:
        """The adapter that was promoted before this one; None where there was none."""
        for line in reversed(self.lines()):
            if adapter and line["event"] in ARRIVALS and adapter.is_same(Adapter.named(line, "adapter")):
                return Adapter.named(line, "predecessor")
        return None

    def was_rolled_back(self, adapter: Adapter) -> bool:
        """Whether a person went back from this adapter, and it was not promoted again since."""
        for line in reversed(self.lines()):
            if line["event"] in ARRIVALS and adapter.is_same(Adapter.named(line, "adapter")):
                return False
            if line["event"] == "rolled back" and adapter.is_same(Adapter.named(line, "predecessor")):
                return True
        return False

    def add(self, event: Event, adapter: Adapter | None, predecessor: Adapter | None, **more: Any) -> None:
        """Add a line; on disk when this returns."""
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        line = {"time": now, "event": event, **names(adapter, "adapter"), **names(predecessor, "predecessor"), **more}
        add_line(self._path, line)
