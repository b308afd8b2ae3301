"""Locks of the operating system on files: the kernel lets go of them when their holder dies, however it dies.

Belongs here: taking one, waiting for it, saying who holds it.
Does not: what is locked, and where its file lies.
"""

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from medcot_pipeline.artifacts.disk import make_folder
from medcot_pipeline.progress import Say, duration

LOOK_AGAIN_SECONDS = 0.2
SAY_AGAIN_SECONDS = 60.0


@contextlib.contextmanager
def hold(path: Path, what: str, holder: str, say: Say) -> Iterator[None]:
    """Hold the lock; wait for it, and say for whom, while another process has it.

    The file stays when the lock is let go: a waiting process may have it open.

    Args:
        path: the lock's file; other users of the machine can open it too.
        what: what is locked, as it is called while waiting for it.
        holder: how others will call this process.
        say: where waiting is said.
    """
    make_folder(path.parent)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    with os.fdopen(descriptor, "r+", encoding="utf-8") as file:
        with contextlib.suppress(PermissionError):  # another user's file: it can be locked all the same
            path.chmod(0o666)
        _wait(file, what, say)
        file.seek(0)
        file.truncate()
        file.write(f"{holder}, process {os.getpid()}")
        file.flush()
        try:
            yield
        finally:
            file.seek(0)
            file.truncate()


@contextlib.contextmanager
def share(path: Path) -> Iterator[None]:
    """Hold a lock together with others that share it; wait while one process has it alone."""
    make_folder(path.parent)
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        yield


@contextlib.contextmanager
def alone(path: Path) -> Iterator[bool]:
    """Try to hold a lock alone, without waiting; yields whether it is held."""
    make_folder(path.parent)
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def holder_of(path: Path) -> str | None:
    """Who holds a lock now, as it is called; None where nobody does."""
    if not path.is_file():
        return None
    with alone(path) as free:
        return None if free else path.read_text(encoding="utf-8").strip() or "another process"


def _wait(file: TextIO, what: str, say: Say) -> None:
    started = said = time.monotonic()
    first = True
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            now = time.monotonic()
            if first or now - said >= SAY_AGAIN_SECONDS:
                file.seek(0)
                who = file.read().strip() or "another process"
                waited = "" if first else f", for {duration(now - started)} now"
                say(f"waiting for {what}, which is held by {who}{waited}")
                first, said = False, now
            time.sleep(LOOK_AGAIN_SECONDS)
        else:
            return
