"""Which adapter is promoted, which one was before it, and the record of every decision.

Below the data folder: `promoted/qlora_adapter` links to the promoted artifact, `promoted/qlora_adapter.previous` to the
one that `medcot rollback` goes back to, and `promoted/decisions.jsonl` has a line for every decision and rollback, the
oldest first. The link says what is promoted; the record says how it came to be.

Belongs here: the links, the record, and which adapter stands against which.
Does not: deciding (evaluation/promotion.py).
"""

import contextlib
import datetime
import json
import logging
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from medcot_pipeline.artifacts.disk import point
from medcot_pipeline.artifacts.locks import hold
from medcot_pipeline.artifacts.manifest import NO_MANIFEST, Manifest
from medcot_pipeline.artifacts.store import ArtifactStore
from medcot_pipeline.errors import MedcotError

log = logging.getLogger("medcot")
ADAPTER = "qlora_adapter"
Event = Literal["promoted", "stays promoted", "stays candidate", "rolled back"]


class Promoted:
    """The promoted adapter of one data folder."""

    def __init__(self, root: Path) -> None:
        """Args: root: the data folder."""
        self._root = root
        self._folder = root / "promoted"

    @property
    def fingerprint(self) -> str | None:
        """The promoted artifact's fingerprint, whether it is still whole or not; None where nothing was promoted."""
        link = self._folder / ADAPTER
        return link.readlink().name if link.is_symlink() else None

    def against(self, candidate: str, base: str | None = None) -> Manifest | None:
        """The adapter that a candidate is compared with: the incumbent.

        That is the promoted one. Once the candidate is itself promoted it is the one that it took over from, so that
        a promotion changes nothing of the evaluation that it rests on.

        Args:
            candidate: content hash of the candidate.
            base: content hash of the base model; an adapter of another base cannot be compared.
        """
        promoted = self._manifest(self.fingerprint)
        found = promoted
        if promoted and promoted.content_hash == candidate:
            found = self._manifest(self.predecessor(promoted.fingerprint))
        if found is None or found.content_hash == candidate:
            return None
        return found if base is None or found.inputs.get("base_model") == base else None

    def predecessor(self, fingerprint: str) -> str | None:
        """The fingerprint of the adapter that this one took over from; None where there was none."""
        taken_over = [line for line in self.record() if (line["event"], line["adapter"]) == ("promoted", fingerprint)]
        return taken_over[-1]["predecessor"] if taken_over else None

    def was_rolled_back(self, fingerprint: str) -> bool:
        """Whether a person went back from this adapter, and it was not promoted again since."""
        moves = [
            line["event"]
            for line in self.record()
            if (line["event"], line["adapter"]) == ("promoted", fingerprint)
            or (line["event"], line["predecessor"]) == ("rolled back", fingerprint)
        ]
        return moves[-1:] == ["rolled back"]

    def record(self) -> list[dict[str, Any]]:
        """Every decision and rollback, the oldest first; a line that a power cut left torn is passed over."""
        path, lines = self._folder / "decisions.jsonl", []
        if path.is_file():
            for line in path.read_bytes().split(b"\n"):
                with contextlib.suppress(ValueError):
                    lines.append(json.loads(line))
        return lines

    def settle(
        self, candidate: Manifest, incumbent: Manifest | None, decision: Mapping[str, Any], *, again: bool = False
    ) -> Event:
        """Carry a decision out and record it.

        An adapter that is promoted already stays so whatever is decided: what takes it back is a better one, or a
        person. One that a person went back from stays candidate, unless a person promotes it `again`.

        Args:
            candidate: the adapter that was decided on.
            incumbent: the one that it was compared with.
            decision: `promote`, and the figures, which are recorded as they are.
            again: promote it although it was rolled back.

        Raises:
            MedcotError: another adapter was promoted since the comparison.
        """
        with self._locked():
            promoted = self._manifest(self.fingerprint)
            mine = promoted is not None and promoted.content_hash == candidate.content_hash
            passes = decision["promote"] and (again or not self.was_rolled_back(candidate.fingerprint))
            event: Event = "stays promoted" if mine else "promoted" if passes else "stays candidate"
            before = incumbent.fingerprint if incumbent else None
            if not mine and self.fingerprint != before and promoted:
                raise MedcotError(
                    f"{promoted.fingerprint[:12]} was promoted while {candidate.fingerprint[:12]} was compared with "
                    f"{(before or 'nothing')[:12]}.",
                    "Run `medcot sync` again.",
                )
            self._append(event=event, adapter=candidate.fingerprint, predecessor=before, decision=dict(decision))
            if event == "promoted":
                self._point(candidate.fingerprint, before)
        return event

    def roll_back(self, store: ArtifactStore) -> tuple[str, str]:
        """Go back to the adapter that the promoted one took over from, in one step, and record it.

        Returns:
            The fingerprints that were and are promoted.

        Raises:
            MedcotError: nothing is promoted, it took over from none, or that one is missing or damaged; nothing moves.
        """
        with self._locked():
            adapter = self.fingerprint
            if adapter is None:
                raise MedcotError("No adapter is promoted: there is nothing to go back from.")
            predecessor = self.predecessor(adapter)
            if predecessor is None:
                raise MedcotError(
                    f"The promoted adapter {adapter[:12]} took over from none: there is nothing to go back to."
                )
            if store.find(ADAPTER, predecessor) is None:
                raise MedcotError(
                    f"{store.folder(ADAPTER, predecessor)}: the adapter to go back to is missing or damaged; "
                    f"{adapter[:12]} stays promoted.",
                    "Restore it from a backup.",
                )
            self._append(event="rolled back", adapter=predecessor, predecessor=adapter, decision={})
            self._point(predecessor, self.predecessor(predecessor))
        return adapter, predecessor

    def _manifest(self, fingerprint: str | None) -> Manifest | None:
        """The manifest as it stands; whoever uses the artifact verifies it."""
        if fingerprint is None:
            return None
        with contextlib.suppress(*NO_MANIFEST):
            return Manifest.read(self._root / "artifacts" / ADAPTER / fingerprint)
        return None

    def _point(self, fingerprint: str, previous: str | None) -> None:
        """The link to the previous one first: between the two steps it names what is still promoted."""
        if previous:
            self._link(f"{ADAPTER}.previous", previous)
        self._link(ADAPTER, fingerprint)
        if not previous:
            (self._folder / f"{ADAPTER}.previous").unlink(missing_ok=True)

    def _link(self, name: str, fingerprint: str) -> None:
        point(self._folder / name, Path("..") / "artifacts" / ADAPTER / fingerprint)

    def _append(self, **line: Any) -> None:
        """Add a line to the record; on disk when this returns."""
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        with (self._folder / "decisions.jsonl").open("a+b") as file:
            if file.tell() and not self._ends_whole():
                file.write(b"\n")
            file.write(json.dumps({"time": now, **line}, ensure_ascii=False).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())

    def _ends_whole(self) -> bool:
        return (self._folder / "decisions.jsonl").read_bytes().endswith(b"\n")

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """One process at a time decides or goes back."""
        with hold(self._folder / ".lock", "the promoted adapter", "a promotion or a rollback", log.info):
            yield
