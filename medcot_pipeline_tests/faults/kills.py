"""Kills a process before each of its changes on disk, one after another.

A change is a rename, a link, an unlink, a folder made or removed, a file opened for writing, and an fsync. Python tells
an audit hook of all but the last. The process is a fork of this one, which therefore has to be light: no torch, no
Dagster, no threads.

Belongs here: counting the changes of an operation, and a signal before the n-th.
Does not belong here: which operations, and what must hold afterwards (scenes.py).
"""

import dataclasses
import os
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

CHANGES = ("os.rename", "os.link", "os.symlink", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "os.fsync")


@dataclasses.dataclass(frozen=True)
class Signalled:
    """A process that got its signal, and the change that it was about to make: what, and the name of the file."""

    process: int
    change: str

    def go_on(self) -> int:
        """Let a stopped process go on, and wait for it; its exit status."""
        os.kill(self.process, signal.SIGCONT)
        return os.waitstatus_to_exitcode(os.waitpid(self.process, 0)[1])


def run_until(number: int, operation: Callable[[], object], sent: signal.Signals = signal.SIGKILL) -> Signalled | None:
    """Carry an operation out in a process of its own, which gets a signal before its n-th change.

    Args:
        number: counts from 1.
        operation: what the process does.
        sent: SIGKILL, or SIGSTOP for one that is to go on.

    Returns:
        None where the operation ended before.

    Raises:
        AssertionError: it ended with an error, or by another signal.
    """
    seen, told = os.pipe()
    child = os.fork()
    if child == 0:
        _be_the_child(number, operation, sent, told)
    os.close(told)
    with os.fdopen(seen, encoding="utf-8") as lines:
        change = lines.readline().strip()
    _, status = os.waitpid(child, os.WUNTRACED)
    if not change:
        assert os.waitstatus_to_exitcode(status) == 0, f"ended with status {status} before change {number}"
        return None
    got = os.WSTOPSIG(status) if os.WIFSTOPPED(status) else -os.waitstatus_to_exitcode(status)
    assert got == sent, f"ended with status {status} at change {number}, {change}"
    return Signalled(child, change)


def _be_the_child(number: int, operation: Callable[[], object], sent: signal.Signals, told: int) -> None:
    """Never returns."""
    try:
        _send_before(number, sent, told)
        operation()
        os._exit(0)
    except BaseException:
        traceback.print_exc()
        os._exit(1)


def _send_before(number: int, sent: signal.Signals, told: int) -> None:
    """From now on count the changes of this process."""
    fsync, count = os.fsync, 0

    def look(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal count
        if event in CHANGES or (event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR)):
            count += 1
            if count == number:
                os.write(told, f"{event} {Path(os.fsdecode(str(arguments[0]))).name}\n".encode())
                os.kill(os.getpid(), sent)

    def audited_fsync(fd: Any) -> None:
        sys.audit("os.fsync", fd)
        fsync(fd)

    os.fsync = audited_fsync
    sys.addaudithook(look)
