"""Locks of the operating system on files: the kernel releases them when their holder dies, for whatever reason.

No link is followed and nothing is emptied before the lock is held: a file that somebody else put in a lock's place is
refused, or locked as it is.

Belongs here: taking one, waiting for it, saying who holds it.
Does not belong here: what is locked, and where its file lies.
"""

import contextlib
import errno
import fcntl
import os
import pwd
import stat
import time
from collections.abc import Iterator
from pathlib import Path

from medcot_pipeline.support.errors import MedcotError
from medcot_pipeline.support.files import make_folder
from medcot_pipeline.support.progress import Say, duration

LOOK_AGAIN_SECONDS = 0.2
SAY_AGAIN_SECONDS = 60.0
_FLAGS = os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
KERNEL_LOCKS = Path("/proc/locks")
NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)
"""What file systems answer that keep no locks, as some on networks do."""


@contextlib.contextmanager
def hold(path: Path, what: str, holder: str, say: Say) -> Iterator[None]:
    """Hold the lock; wait for it, and say for whom, while another process has it.

    The file stays when the lock is let go: a waiting process may have it open.

    Args:
        path: the lock's file; other users of the machine can open it too.
        what: what is locked, as it is called while waiting for it.
        holder: what others will call this process.
        say: told while this process waits.

    Raises:
        MedcotError: something else than a file lies there, or its file system keeps no locks.
    """
    with _opened(path) as descriptor:
        with contextlib.suppress(PermissionError):  # another user's file: it can be locked all the same
            os.fchmod(descriptor, 0o666)
        _wait(descriptor, path, what, say)
        _write(descriptor, f"{holder}, process {os.getpid()}")
        try:
            yield
        finally:
            _write(descriptor, "")


@contextlib.contextmanager
def hold_device(path: Path, what: str, say: Say) -> Iterator[None]:
    """Hold the lock of a device's own file, which is only opened for reading; otherwise as `hold`."""
    with _opened_to_read(path) as descriptor:
        _wait(descriptor, path, what, say)
        yield


@contextlib.contextmanager
def share(path: Path) -> Iterator[None]:
    """Hold a lock together with others that share it; wait while one process has it alone."""
    with _opened(path) as descriptor:
        flock(descriptor, path, fcntl.LOCK_SH)
        yield


@contextlib.contextmanager
def alone(path: Path) -> Iterator[bool]:
    """Try to hold a lock alone, without waiting; yields whether it is held."""
    with _opened(path) as descriptor:
        yield _try(descriptor, path)


def holder_of(path: Path) -> str | None:
    """Who holds a lock now, as it is called; None where nobody does."""
    if not path.exists():
        return None
    with _opened_to_read(path) as descriptor:
        return None if _try(descriptor, path) else _holder(descriptor)


def flock(descriptor: int, path: Path, operation: int) -> None:
    """Lock an open file.

    Raises:
        BlockingIOError: another process holds it, and the operation does not wait.
        MedcotError: its file system keeps no locks.
    """
    try:
        fcntl.flock(descriptor, operation)
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
        raise MedcotError(
            f"{path}: its file system keeps no locks ({error.strerror}), and two passes would not know of each other.",
            "Set MEDCOT_DATA_DIR and DAGSTER_HOME to folders on a local disk.",
        ) from error


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[int]:
    """A descriptor of the lock's file, which is made where it is missing; another user's file is opened to be read."""
    make_folder(path.parent)
    with _naming(path):
        try:
            descriptor = os.open(path, os.O_RDWR | _FLAGS)
        except FileNotFoundError:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | _FLAGS, 0o666)
        except PermissionError:
            descriptor = os.open(path, os.O_RDONLY | _FLAGS)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise _not_a_lock(path)
        yield descriptor
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _opened_to_read(path: Path) -> Iterator[int]:
    with _naming(path):
        descriptor = os.open(path, os.O_RDONLY | _FLAGS)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _naming(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EISDIR, errno.ENXIO):
            raise _not_a_lock(path) from error
        raise


def _not_a_lock(path: Path) -> MedcotError:
    return MedcotError(f"{path}: a link, a folder or a pipe is in the place of a lock file.", "Remove it.")


def _try(descriptor: int, path: Path) -> bool:
    try:
        flock(descriptor, path, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _read(descriptor: int) -> str:
    """What the holder wrote into the lock's file; nothing where it is a device."""
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        return ""
    return _printable(os.pread(descriptor, 1000, 0))


def _write(descriptor: int, text: str) -> None:
    with contextlib.suppress(OSError):  # another user's file, or a full disk: the lock holds without its holder's name
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, text.encode("utf-8", "backslashreplace"), 0)


def _holder(descriptor: int) -> str:
    """Who holds a lock: as it wrote itself into the file, else by number, user and command as far as they can be seen.

    A holder that may not write into the file leaves there what an earlier one wrote.
    """
    written = _read(descriptor)
    holder = _holding_process(descriptor)
    if written and (holder is None or written.endswith(f"process {holder}")):
        return written
    if holder is None:
        return "another process"
    process = Path("/proc") / holder
    try:
        user = process.stat().st_uid
        command = _printable((process / "cmdline").read_bytes().replace(b"\0", b" "))
    except OSError:
        return f"process {holder}"
    try:
        name = pwd.getpwuid(user).pw_name
    except KeyError:
        name = str(user)
    return f"process {holder} of {name} ({command[:200]})"


def _holding_process(descriptor: int) -> str | None:
    """Number of the process that the kernel says holds a lock; None where this process may not see it."""
    status = os.fstat(descriptor)
    place = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
    try:
        held = [line.split() for line in KERNEL_LOCKS.read_text(encoding="utf-8").splitlines()]
    except OSError:
        return None
    return next((fields[4] for fields in held if fields[1] == "FLOCK" and fields[5] == place), None)


def _printable(data: bytes) -> str:
    """Text of another process as it can stand in a line."""
    return " ".join("".join(char if char.isprintable() else " " for char in data.decode("utf-8", "replace")).split())


def _wait(descriptor: int, path: Path, what: str, say: Say) -> None:
    started = said = time.monotonic()
    first = True
    while not _try(descriptor, path):
        now = time.monotonic()
        if first or now - said >= SAY_AGAIN_SECONDS:
            waited = "" if first else f", for {duration(now - started)} now"
            say(f"waiting for {what}, which is held by {_holder(descriptor)}{waited}")
            first, said = False, now
        time.sleep(LOOK_AGAIN_SECONDS)
