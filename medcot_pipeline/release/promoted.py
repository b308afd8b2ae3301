"""Which adapter is promoted, and which one was before it.

Below the data folder: `promoted/decisions.jsonl` is the record, and the truth. `promoted/adapters/<content hash>/`
holds the promoted adapter and the one that `medcot rollback` goes back to: copies that nothing writes again, so that
whatever is made, made again or pruned below `artifacts/` changes nothing that is promoted. The link
`promoted/qlora_adapter` leads to the promoted one, `promoted/qlora_adapter.previous` to the other; both follow the
record.

A move has three steps: the new link is put beside its place (`qlora_adapter.next`), its line is written, the link is
put into its place. A process that is killed between them leaves `.next`: whoever comes next carries the move out if its
line was written, and drops it if not. A link that is gone for no such reason was removed by a person, who starts over.

Belongs here: copies, links and moves, and which adapter stands against which.
Does not belong here: deciding (decision.py), the record's lines (record.py).
"""

import contextlib
import json
import logging
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from medcot_pipeline.artifacts.identity import canonical_json, sha256_text
from medcot_pipeline.artifacts.manifest import NO_MANIFEST, Manifest
from medcot_pipeline.artifacts.store import ArtifactStore
from medcot_pipeline.release.record import Adapter, Event, Record, names
from medcot_pipeline.support.errors import MedcotError
from medcot_pipeline.support.files import make_link, sync
from medcot_pipeline.support.locks import hold, share

log = logging.getLogger("medcot")
ADAPTER = "qlora_adapter"
PROMOTION = "promotion"
DECISION = "decision.json"
"""What the asset `promotion` publishes."""


class Promoted:
    """The promoted adapter of one data folder."""

    def __init__(self, root: Path) -> None:
        """Args: root: the data folder."""
        self._root = root
        self._folder = root / "promoted"
        self._copies = self._folder / "adapters"
        self._link = self._folder / ADAPTER
        self.record = Record(self._folder / "decisions.jsonl")

    @property
    def adapter(self) -> Adapter | None:
        """The promoted adapter, whether it is still whole or not; None where nothing is promoted."""
        recorded = self.record.promoted()
        if self._under_way(recorded):
            return recorded
        if not os.path.lexists(self._link):
            return None
        return self._unrecorded(recorded) or recorded

    @property
    def fingerprint(self) -> str | None:
        """The promoted adapter's fingerprint; None where nothing is promoted."""
        adapter = self.adapter
        return adapter.fingerprint if adapter else None

    def folder(self, adapter: Adapter) -> Path:
        """Where an adapter lies: its copy, or, until there is one, its artifact if that has the same content."""
        artifact = self._root / "artifacts" / ADAPTER / adapter.fingerprint
        if adapter.content is None:
            return artifact
        copy = self._copies / adapter.content
        made = None if copy.is_dir() else _read(artifact)
        return artifact if made and made.content_hash == adapter.content else copy

    def kept(self) -> list[Path]:
        """Folders of the promoted adapter and of the one to go back to."""
        adapter = self.adapter
        return [self.folder(each) for each in (adapter, self.record.predecessor(adapter)) if each]

    def against(self, candidate: str, base: str | None = None) -> Manifest | None:
        """The adapter that a candidate is compared with: the incumbent.

        That is the promoted one. Once the candidate is itself promoted it is the one that it took over from, so that
        a promotion changes nothing of the evaluation that it rests on.

        Args:
            candidate: content hash of the candidate.
            base: content hash of the base model; an adapter of another base cannot be compared.

        Raises:
            MedcotError: the promoted adapter is missing, or its manifest cannot be read.
        """
        promoted = self.adapter
        mine = promoted is not None and promoted.content == candidate
        compared = self.record.predecessor(promoted) if mine else promoted
        found = self._manifest(compared) if compared else None
        if promoted and found is None and not mine:
            raise self.damaged(promoted, "it has no manifest of its content")
        if found is None or found.content_hash == candidate:
            return None
        return found if base is None or found.inputs.get("base_model") == base else None

    def damaged(self, adapter: Adapter, problem: str) -> MedcotError:
        """The error about an adapter that is promoted, or was before, and is not whole any more."""
        return MedcotError(
            f"{self.folder(adapter)}: adapter {adapter.fingerprint[:12]}, which is promoted or was before, is missing "
            f"or damaged ({problem}).",
            f"Restore it from a backup, go back with `medcot rollback`, or remove {self._link} to start over.",
        )

    def problems(self, store: ArtifactStore) -> list[str]:
        """What is wrong with the promoted adapter, and with the one to go back to where it is kept: a line for each."""
        adapter = self.adapter
        before = self.record.predecessor(adapter)
        looked_at = [each for each in (adapter, before) if each and (each is adapter or self.folder(each).is_dir())]
        return [str(self.damaged(each, problem)) for each in looked_at if (problem := store.damage(self.folder(each)))]

    def foresee(
        self, candidate: Manifest, incumbent: Manifest | None, promote: bool, *, again: bool = False
    ) -> dict[str, Any]:
        """What follows from a decision: the part that `settle` carries out once the decision is published.

        An adapter that is already promoted stays so, whatever is decided: only a better one or a person replaces it.
        One that a person rolled back stays a candidate, unless a person promotes it `again`.

        Args:
            candidate: the adapter that was decided on.
            incumbent: the one that it was compared with.
            promote: whether it passes.
            again: promote it although it was rolled back.

        Returns:
            `event`, `adapter`, `incumbent`, their contents, and in `decided_after` how many lines the record has.

        Raises:
            MedcotError: another adapter was promoted since the comparison.
        """
        lines, promoted = len(self.record.lines()), self.adapter
        adapter, compared = Adapter.of(candidate), Adapter.of(incumbent) if incumbent else None
        mine = adapter.is_same(promoted)
        if promoted and not mine and not promoted.is_same(compared):
            raise MedcotError(_overtaken(adapter, compared, promoted), "Run `medcot sync` again.")
        passes = promote and (again or not self.record.was_rolled_back(adapter))
        event: Event = "stays promoted" if mine else "promoted" if passes else "stays candidate"
        return {
            "event": event,
            **names(adapter, "adapter"),
            **names(compared, "incumbent"),
            "decided_after": lines,
        }

    def settle(self, store: ArtifactStore, decision: Mapping[str, Any]) -> str | None:
        """Carry a published decision out, and record it; one that is on record already moves nothing.

        Args:
            store: has the adapter that was decided on.
            decision: what `foresee` returned, with `promote`, `requirements` and `reasons`.

        Returns:
            Why it cannot be carried out any more, or None where it is on record.
        """
        with share(store.publishing_lock), self._locked():
            self._follow(store)
            return self._settle(store, decision)

    def roll_back(self, store: ArtifactStore) -> tuple[str, str]:
        """Restore the previously promoted adapter, and record it.

        A move that a killed process had begun is finished first; if it was a rollback, it counts as this one.

        Returns:
            The fingerprints that were and are promoted.

        Raises:
            MedcotError: nothing is promoted, or there is no predecessor, or it is missing or damaged; nothing moves.
        """
        with share(store.publishing_lock), self._locked():
            under_way = self.record.moves()[-1] if self._under_way(self.record.promoted()) else None
            self._finish(store)
            if under_way and under_way["event"] == "rolled back":
                return under_way["predecessor"], under_way["adapter"]
            adapter = self.adapter
            if adapter is None:
                raise MedcotError("No adapter is promoted: there is nothing to roll back.")
            predecessor = self.record.predecessor(adapter)
            if predecessor is None:
                raise MedcotError(
                    f"The promoted adapter {adapter.fingerprint[:12]} has no predecessor: there is nothing to go back "
                    "to."
                )
            copy, problem = self._whole_copy(store, predecessor)
            if problem:
                raise MedcotError(
                    f"{self.folder(predecessor)}: the adapter to go back to is missing or damaged ({problem}); "
                    f"{adapter.fingerprint[:12]} stays promoted.",
                    "Restore it from a backup.",
                )
            self._move(store, "rolled back", copy, Adapter(predecessor.fingerprint, copy.name), adapter, decision={})
        return adapter.fingerprint, predecessor.fingerprint

    def catch_up(self, store: ArtifactStore) -> list[str]:
        """Carry out what a killed process had begun, and take over what an earlier version had promoted.

        That is a move on record that the link did not follow; a published decision that is not on record; a link that
        a person removed; a link into `artifacts/`.

        Returns:
            One line for everything that was done; none where nothing was to be done.
        """
        if not self._folder.is_dir() and not (self._root / "current" / PROMOTION).is_symlink():
            return []
        with share(store.publishing_lock), self._locked():
            return self._finish(store)

    def _finish(self, store: ArtifactStore) -> list[str]:
        lines = self._follow(store)
        published = store.current(PROMOTION)
        if published is None or DECISION not in published.files:
            return lines
        decision = json.loads((store.folder(PROMOTION, published.fingerprint) / DECISION).read_text(encoding="utf-8"))
        before = len(self.record.lines())
        if "decided_after" in decision:  # earlier versions carried a decision out before they published it
            self._settle(store, decision)  # one that cannot be carried out is stale: the next pass decides again
        if len(self.record.lines()) > before:
            lines.append(
                f"promotion: {decision['adapter'][:12]} {decision['event']}, as decided; the record now says so"
            )
        return lines

    def _settle(self, store: ArtifactStore, decision: Mapping[str, Any]) -> str | None:
        settles = sha256_text(canonical_json(decision))
        if any(line.get("settles") == settles for line in self.record.lines()):
            return None
        candidate, compared = Adapter.named(decision, "adapter"), Adapter.named(decision, "incumbent")
        if candidate is None:
            raise ValueError("a decision must name its adapter")
        moves = self.record.moves(decision["decided_after"])
        if moves:
            return _overtaken(candidate, compared, Adapter.named(moves[-1], "adapter"))
        figures = {name: decision[name] for name in ("promote", "requirements", "reasons")}
        told = {"decision": figures, "settles": settles}
        if decision["event"] != "promoted":
            self.record.add(decision["event"], candidate, compared, **told)
            return None
        copy, problem = self._whole_copy(store, candidate)
        if problem:
            return f"{self.folder(candidate)}: the adapter is missing, or not the one that was decided on ({problem})."
        self._move(store, "promoted", copy, candidate, compared, **told)
        return None

    def _move(
        self,
        store: ArtifactStore,
        event: Event,
        copy: Path,
        adapter: Adapter,
        predecessor: Adapter | None,
        **more: Any,
    ) -> None:
        """Promote the adapter of a copy."""
        self._put_beside(self._link, copy)
        self.record.add(event, adapter, predecessor, **more)
        self._follow(store)

    def _follow(self, store: ArtifactStore) -> list[str]:
        """Bring copies and links to where the record has them; one line for everything that was done."""
        recorded, lines = self.record.promoted(), list[str]()
        if not self._under_way(recorded):
            _beside(self._link).unlink(missing_ok=True)
            if recorded and not os.path.lexists(self._link):
                self.record.add("removed", None, recorded)
                lines.append(f"promoted/{ADAPTER}: removed by hand; nothing is promoted now, and the record says so")
            elif linked := self._unrecorded(recorded):
                lines += self._take_over(store, linked)
                if not lines:
                    return []  # it is damaged: whoever needs it says so
            recorded = self.record.promoted()
        lines += self._lead(store, self._folder / f"{ADAPTER}.previous", self.record.predecessor(recorded))
        return lines + self._lead(store, self._link, recorded)

    def _take_over(self, store: ArtifactStore, linked: Adapter) -> list[str]:
        """Record what a link of an earlier version, or of a person, leads to."""
        copy = self._copy(store, linked)
        if copy is None:
            return []
        before = self.record.predecessor(linked)
        if before and (kept := self._copy(store, before)):
            before = Adapter(before.fingerprint, kept.name)
        self._put_beside(self._link, copy)
        self.record.add("taken over", linked, before)
        return [f"promoted/{ADAPTER}: copied to promoted/adapters/{copy.name[:12]}... and recorded by its content"]

    def _lead(self, store: ArtifactStore, link: Path, adapter: Adapter | None) -> list[str]:
        """Bring a link to where it is to lead; one to the adapter before is taken away where that is gone."""
        copy = self._copy(store, adapter) if adapter else None
        if copy is None:
            if link.is_symlink() and not (adapter and link == self._link):
                link.unlink()
            return []
        if link.is_symlink() and link.readlink() == _target(copy):
            _beside(link).unlink(missing_ok=True)
            return []
        if os.path.lexists(link) and not link.is_symlink():
            log.warning("%s is not a link to an adapter; it is set aside in %s", link, store.keep_misplaced(link))
        self._put_beside(link, copy)
        _beside(link).replace(link)
        sync(self._folder)
        return [f"promoted/{link.name}: now leads to promoted/adapters/{copy.name[:12]}..., as the record says"]

    def _put_beside(self, link: Path, copy: Path) -> None:
        """Prepare a link; on disk when this returns."""
        beside = _beside(link)
        if not (beside.is_symlink() and beside.readlink() == _target(copy)):
            beside.unlink(missing_ok=True)
            make_link(beside, _target(copy))
        sync(self._folder)

    def _under_way(self, recorded: Adapter | None) -> bool:
        """Whether the last move is on record, and the link is yet to follow."""
        beside = _beside(self._link)
        return recorded is not None and beside.is_symlink() and beside.readlink().name == recorded.content

    def _unrecorded(self, recorded: Adapter | None) -> Adapter | None:
        """The adapter of a link that no line made: one of an earlier version, or a person's where none is promoted."""
        if not self._link.is_symlink():
            return None
        target = self._link.readlink()
        if recorded and target.parent.name != ADAPTER:
            return None
        manifest = _read(self._link)
        return Adapter.of(manifest) if manifest else Adapter(target.name, None)

    def _whole_copy(self, store: ArtifactStore, adapter: Adapter) -> tuple[Path, str | None]:
        """An adapter's copy, and what is wrong with it."""
        copy = self._copy(store, adapter)
        return (copy, store.damage(copy)) if copy else (self.folder(adapter), "no artifact or copy has its content")

    def _copy(self, store: ArtifactStore, adapter: Adapter) -> Path | None:
        """An adapter's copy, made where it is missing; None where no whole artifact has its content.

        Raises:
            MedcotError: the copy cannot be written.
        """
        if adapter.content and (self._copies / adapter.content).is_dir():
            return self._copies / adapter.content
        source = store.folder(ADAPTER, adapter.fingerprint)
        manifest = _read(source)
        if manifest is None or adapter.content not in (None, manifest.content_hash) or store.damage(source):
            return None
        copy = self._copies / manifest.content_hash
        try:
            if not copy.is_dir():
                store.copy(source, copy)
        except OSError as error:
            raise MedcotError(
                f"{copy}: the adapter cannot be copied there ({error.strerror or error}); nothing was promoted.",
                "Free some space and run `medcot sync` again.",
            ) from error
        return copy

    def _manifest(self, adapter: Adapter) -> Manifest | None:
        """The adapter's manifest as it stands; whoever uses its files verifies them."""
        manifest = _read(self.folder(adapter))
        return manifest if manifest and adapter.content in (None, manifest.content_hash) else None

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """One process at a time decides, goes back or catches up."""
        with hold(self._folder / ".lock", "the promoted adapter", "a promotion or a rollback", log.info):
            yield


def _beside(link: Path) -> Path:
    return link.with_name(f"{link.name}.next")


def _target(copy: Path) -> Path:
    return Path(copy.parent.name) / copy.name


def _read(folder: Path) -> Manifest | None:
    with contextlib.suppress(*NO_MANIFEST):
        return Manifest.read(folder)
    return None


def _overtaken(candidate: Adapter, compared: Adapter | None, promoted: Adapter | None) -> str:
    moved = f"{promoted.fingerprint[:12]} was promoted" if promoted else "The promoted adapter was removed"
    before = compared.fingerprint[:12] if compared else "nothing"
    return f"{moved} while {candidate.fingerprint[:12]} was compared with {before}."
