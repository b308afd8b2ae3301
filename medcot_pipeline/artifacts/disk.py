"""Changes to folders that a power cut does not undo once they are made.

A file's content is on disk when the file is synced; that the file is there at all, or that a link leads elsewhere, is
on disk when its folder is synced.

Belongs here: syncing files and folders, and making, moving and linking with it.
Does not: what is written.
"""

import os
import uuid
from pathlib import Path


def sync(path: Path) -> None:
    """Wait until a file's content, or the names in a folder, are on disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_tree(folder: Path) -> None:
    """Wait until a folder and everything below it is on disk."""
    for path in folder.rglob("*"):
        if path.is_file() or path.is_dir():
            sync(path)
    sync(folder)


def make_folder(path: Path) -> None:
    """Make a folder and its parents where they are missing."""
    missing = [each for each in (path, *path.parents) if not each.exists()]
    path.mkdir(parents=True, exist_ok=True)
    for each in missing:
        sync(each.parent)


def move(source: Path, target: Path) -> Path:
    """Rename, also into another folder, which is made where it is missing; returns the target.

    Raises:
        FileNotFoundError: there is no source (any more).
    """
    make_folder(target.parent)
    source.rename(target)
    sync(target.parent)
    sync(source.parent)
    return target


def point(link: Path, target: Path) -> None:
    """Let a symbolic link lead to a target, in one step: it is never absent meanwhile."""
    make_folder(link.parent)
    temporary = link.with_name(f".{link.name}-{uuid.uuid4().hex}")
    temporary.symlink_to(target)
    temporary.replace(link)
    sync(link.parent)
