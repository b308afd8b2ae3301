"""Which process works on a run, and the proof that it is gone.

A process is named by its machine, the machine's boot, the process's namespace, its number and the tick at which it
started: numbers are given again, and wall clocks jump, but no two processes share all five.

Belongs here: naming this process, telling whether a named one lives.
Does not belong here: what follows for a run (doctor.py).
"""

import dataclasses
import json
import os
import socket
from pathlib import Path
from typing import Literal

PROCESS_TAG = "medcot/process"
"""Tag of a run: the process that works on it, as JSON."""

BOOT = Path("/proc/sys/kernel/random/boot_id")
NAMESPACE = Path("/proc/self/ns/pid")


@dataclasses.dataclass(frozen=True)
class Process:
    """One process of one machine, for all time.

    Attributes:
        host: the machine's name.
        boot: the kernel's id of the machine's start.
        namespace: the kernel's id of the process namespace; containers have their own.
        pid: number within the namespace.
        started: clock ticks from the boot to the process's start.
    """

    host: str
    boot: str
    namespace: str
    pid: int
    started: int

    @classmethod
    def own(cls) -> "Process":
        """The process that runs this code."""
        return cls(socket.gethostname(), _boot(), _namespace(), os.getpid(), _started("self") or 0)

    @classmethod
    def from_tag(cls, tag: str) -> "Process":
        """The process that a run's tag names.

        Raises:
            ValueError, TypeError: the tag is not one that `to_tag` made.
        """
        return cls(**json.loads(tag))

    def to_tag(self) -> str:
        """The process as a run's tag."""
        return json.dumps(dataclasses.asdict(self))

    def state(self) -> Literal["alive", "dead", "elsewhere"]:
        """Whether it lives; `elsewhere` is a machine or a container whose processes cannot be seen from here."""
        if self.host != socket.gethostname():
            return "elsewhere"
        if self.boot != _boot():
            return "dead"
        if self.namespace != _namespace():
            return "elsewhere"
        return "alive" if _started(self.pid) == self.started else "dead"

    def __str__(self) -> str:
        """`process 4711 on host`."""
        return f"process {self.pid} on {self.host}"


def exists(pid: int) -> bool:
    """Whether a process of that number runs here now, whichever it is."""
    return _started(pid) is not None


def _boot() -> str:
    return BOOT.read_text(encoding="ascii").strip()


def _namespace() -> str:
    return str(NAMESPACE.readlink())


def _started(pid: int | str) -> int | None:
    """Start of a process in ticks since the boot; None where there is none, or only its exit status is left."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    state, *fields = text.rpartition(")")[2].split()  # the name in front can hold spaces and brackets
    return None if state in "ZX" else int(fields[18])
