"""Files and folders that a power cut does not undo once they are made.

A file's content is on disk when the file is synced; that the file is there at all, or that a link leads elsewhere, is
on disk when its folder is synced.

Belongs here: the one writer of a whole file; making, moving and linking; what killed writers leave.
Does not belong here: what is written (json_files.py, table_files.py), lines added to a file (journals.py), listing a
folder from outside (folders.py).
"""

import contextlib
import errno
import os
import uuid
from pathlib import Path

from medcot_pipeline.support.errors import MedcotError

NO_LINKS = (errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP)
"""What file systems without symbolic links answer: FAT and exFAT the first, some on networks the others."""

UNFINISHED = f".*-{'[0-9a-f]' * 8}.part"
"""How a file is called while it is written, as a pattern: hidden, so that readers pass over it."""


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file in one step: whoever reads it finds the old or the new one whole; on disk when this returns.

    A link in its place is replaced, and a file that has further names keeps its content under those.

    Args:
        path: the file; its folder is made where it is missing.
        content: all of it; text is written as UTF-8, with its line ends as they are.
    """
    make_folder(path.parent)
    unfinished = path.with_name(f".{path.name}-{uuid.uuid4().hex[:8]}.part")
    try:
        with unfinished.open("xb") as file:
            file.write(content.encode("utf-8") if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            unfinished.unlink()
        raise
    sync(path.parent)


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
    """Let a symbolic link lead to a target, in one step: it is never absent meanwhile.

    Raises:
        MedcotError: the file system keeps no links.
    """
    make_folder(link.parent)
    temporary = link.with_name(f".{link.name}-{uuid.uuid4().hex}")
    make_link(temporary, target)
    temporary.replace(link)
    sync(link.parent)


def make_link(link: Path, target: Path) -> None:
    """Make a symbolic link.

    Raises:
        MedcotError: the file system keeps none.
    """
    try:
        link.symlink_to(target)
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        raise MedcotError(
            f"{link.parent}: no symbolic link can be made there ({error.strerror}); FAT and exFAT keep none.",
            "Set MEDCOT_DATA_DIR to a folder on another file system, such as ext4, XFS or APFS.",
        ) from error
