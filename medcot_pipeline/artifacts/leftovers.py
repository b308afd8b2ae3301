"""What killed processes leave in the data folder.

Belongs here: finding and removing it; what a live process works on is locked, and stays.
Does not belong here: runs (orchestration/instance/doctor.py), or artifacts that nobody needs any more (prune.py).
"""

import contextlib
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from medcot_pipeline.artifacts.store import SWEPT, ArtifactStore, sweep
from medcot_pipeline.support.files import UNFINISHED
from medcot_pipeline.support.locks import alone

TEMPORARY = (
    "current/.*",
    "promoted/.*-*",
    "cache/.hashes-*",
    *(f"{home}{UNFINISHED}" for home in ("", "*/", "work/*/*/")),
)
"""Links and files that are about to take a name; a folder in the making is swept with all that is in it."""
TEMPORARY_SECONDS = 60.0
"""A temporary link or file is replaced within milliseconds; one of this age was left."""


def clear_leftovers(store: ArtifactStore) -> list[str]:
    """Remove half-made artifacts, work folders of published ones, and temporary files; one line for each."""
    lines = [
        f"{path.relative_to(store.root)}: left half made or half deleted by a process that has ended; removed"
        for pattern in SWEPT
        for home in sorted(store.root.glob(pattern))
        for path in sweep(home)
    ]
    for folder in sorted((store.root / "work").glob("*/*")):
        if store.folder(folder.parent.name, folder.name).is_dir() and clear_work(
            store, folder.parent.name, folder.name
        ):
            lines.append(f"{folder.relative_to(store.root)}: work of an artifact that is already published; removed")
    for path in _temporaries(store.root):
        path.unlink(missing_ok=True)
        lines.append(f"{path.relative_to(store.root)}: temporary file of a process that has ended; removed")
    for link in sorted((store.root / "current").glob("*")):
        if not link.is_symlink():
            kept = store.keep_misplaced(link)
            lines.append(f"{link.relative_to(store.root)}: not a link to an artifact; set aside in {kept}")
    return lines


def clear_work(store: ArtifactStore, asset: str, fingerprint: str) -> bool:
    """Remove what was needed while an artifact was made, unless a live process is making it again."""
    folder = store.work(asset, fingerprint)
    if not folder.is_dir():
        return False
    with alone(store.lock_path(asset, fingerprint)) as free:
        if free:
            shutil.rmtree(folder)
        return free


def _temporaries(root: Path) -> Iterator[Path]:
    for pattern in TEMPORARY:
        for path in sorted(root.glob(pattern)):
            with contextlib.suppress(FileNotFoundError):  # it took its name meanwhile
                if time.time() - path.lstat().st_mtime > TEMPORARY_SECONDS:
                    yield path
