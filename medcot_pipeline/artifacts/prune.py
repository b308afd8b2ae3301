"""Artifacts that nobody needs any more, and deleting them.

What is current, promoted or was promoted before is kept, with all it was made from; so is what people reviewed.
Deleting takes the lock that every publication, promotion and rollback shares, so that it never runs beside one.

Belongs here: choosing what goes, and how large it is.
Does not belong here: what a killed process left (leftovers.py).
"""

import dataclasses
import fcntl
import os
import re
import shutil
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from pathlib import Path

from medcot_pipeline.artifacts.manifest import NO_MANIFEST, Manifest
from medcot_pipeline.artifacts.store import STAGING, ArtifactStore
from medcot_pipeline.support.errors import NOT_THERE, MedcotError, reading
from medcot_pipeline.support.locks import alone

FINGERPRINT = re.compile(r"[0-9a-f]{64}")
"""Or a content hash."""


@dataclasses.dataclass(frozen=True)
class Unneeded:
    """A folder that can go, relative to the data folder, with its size in bytes."""

    path: Path
    bytes: int


def find_unneeded(
    store: ArtifactStore, promoted: Collection[Path] = (), reviewed: Collection[Path] = ()
) -> list[Unneeded]:
    """Artifacts and promoted copies that are neither kept nor part of what a kept one was made from; what was refused.

    What was last made directly from a promoted artifact stays too: its measures, with which the next candidate is
    compared, and its report.

    Args:
        store: what is looked at; nothing is changed.
        promoted: folders of what is promoted, or was before.
        reviewed: folders that stay, since people reviewed what is in them; not what they were made from.

    Raises:
        Unreadable: a manifest cannot be read right now, so that nobody knows what it needs.
    """
    homes = _entries(store.root / "artifacts")
    artifacts, copies = _published(homes), _published([store.root / "promoted" / "adapters"])
    published = artifacts | copies
    kept = {*_chosen(store.root), *promoted}
    copied = {(manifest.asset, manifest.content_hash) for folder in kept if (manifest := copies.get(folder))}
    kept |= _newest_made_from(copied, artifacts)
    while True:
        needed = copied | {
            (asset, content)
            for folder in kept
            if (manifest := published.get(folder))
            for asset, content in manifest.inputs.items()
        }
        more = {
            folder
            for folder, manifest in artifacts.items()
            if manifest and (manifest.asset, manifest.content_hash) in needed
        }
        if more <= kept:
            break
        kept |= more
    refused = [*store.root.glob("rejected/*/*"), *store.root.glob("damaged/*/*")]
    gone = [*(folder for folder in published if folder not in kept and folder not in reviewed), *sorted(refused)]
    return [Unneeded(path.relative_to(store.root), size(path)) for path in gone]


def prune(
    store: ArtifactStore, promoted: Callable[[], Collection[Path]] = tuple, reviewed: Collection[Path] = ()
) -> list[Unneeded]:
    """Delete what is unneeded; returns what was deleted.

    Args:
        store: whose artifacts.
        promoted: asked for the promoted folders once nobody can promote another one meanwhile.
        reviewed: folders that stay, since people reviewed what is in them.

    Raises:
        MedcotError: a pass is publishing, an adapter is being promoted, or a backup is copying.
        Unreadable: a manifest cannot be read right now; nothing is deleted.
    """
    with alone(store.publishing_lock) as free:
        if not free:
            raise MedcotError(
                "A pass or a backup is under way; nothing was deleted.", "Run `medcot prune` again when that has ended."
            )
        deleted = find_unneeded(store, promoted(), reviewed)
        for each in deleted:
            _delete(store.root / each.path)
        for lock in (store.root / "locks").glob("*-*.lock"):  # nobody holds one without the lock that is held here
            lock.unlink()
        return deleted


def _newest_made_from(copied: Collection[tuple[str, str]], artifacts: Mapping[Path, Manifest | None]) -> set[Path]:
    """Of every asset the newest artifact that was made directly from each promoted one, by asset and content."""
    newest: dict[tuple[str, tuple[str, str]], tuple[str, Path]] = {}
    for folder, manifest in artifacts.items():
        if manifest is None:
            continue
        for used in set(manifest.inputs.items()) & set(copied):
            key = manifest.asset, used
            newest[key] = max(newest.get(key, ("", folder)), (manifest.created, folder))
    return {folder for _, folder in newest.values()}


def size(path: Path) -> int:
    """Bytes of a file, or of the files below a folder."""
    return sum(each.lstat().st_size for each in [path, *path.rglob("*")] if not each.is_dir() or each.is_symlink())


def _published(homes: Iterable[Path]) -> dict[Path, Manifest | None]:
    """The manifest of every folder in these that has the name of one."""
    folders = [folder for home in homes for folder in _entries(home) if FINGERPRINT.fullmatch(folder.name)]
    return {folder: _manifest(folder) for folder in folders}


def _entries(folder: Path) -> list[Path]:
    """What is in a folder; one that cannot be read is no empty one, or what it was made from would seem unneeded."""
    try:
        with reading(folder):
            return sorted(folder.iterdir())
    except NOT_THERE:
        return []


def _manifest(folder: Path) -> Manifest | None:
    try:
        return Manifest.read(folder)
    except NO_MANIFEST:
        return None  # a damaged one can go, unless it is current


def _chosen(root: Path) -> Iterator[Path]:
    """Folders that `current/` and `promoted/` lead to."""
    for link in [*root.glob("current/*"), *root.glob("promoted/*")]:
        if link.is_symlink():
            yield root / os.path.normpath(link.parent.relative_to(root) / link.readlink())


def _delete(path: Path) -> None:
    """Delete a folder under a name that is swept when this process is killed meanwhile."""
    doomed = path.with_name(f"{STAGING}{uuid.uuid4().hex}")
    lock = doomed.with_name(f"{doomed.name}.lock")
    with lock.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        path.rename(doomed)
        shutil.rmtree(doomed) if doomed.is_dir() else doomed.unlink()
        lock.unlink()
