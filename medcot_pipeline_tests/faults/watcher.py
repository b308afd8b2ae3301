"""Looks at a data folder all the time while passes over it are killed: `python -m ... DATA REPORT`.

Until SIGTERM it looks whether a published folder is other than its manifest says, whether a link in `current/`
leads nowhere, and how many model processes work on the folder. It knows nothing of the pipeline's own code.

Belongs here: what must hold at every moment.
Does not belong here: what must hold at the end (passes.py).
"""

import hashlib
import json
import os
import re
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

PUBLISHED = re.compile(r"[0-9a-f]{64}")


class Watcher:
    """What was seen so far."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.looks = 0
        self.violations: list[str] = []
        self.most_at_once = 0
        self._whole: set[tuple[str, int]] = set()

    def look(self) -> None:
        self.looks += 1
        for folder in self.data.glob("artifacts/*/*"):
            if PUBLISHED.fullmatch(folder.name):
                self._verify(folder)
        for link in self.data.glob("current/[!.]*"):
            if link.is_symlink() and not link.exists():
                self.violations.append(f"{link} leads nowhere")
        self.most_at_once = max(self.most_at_once, len(list(model_processes(self.data))))

    def report(self) -> dict[str, object]:
        return {
            "looks": self.looks,
            "folders verified": len(self._whole),
            "violations": self.violations,
            "most model processes at once": self.most_at_once,
        }

    def _verify(self, folder: Path) -> None:
        try:
            identity = (folder.name, folder.stat().st_ino)
            if identity in self._whole:
                return
            problem = damage(folder)
            if folder.stat().st_ino == identity[1]:  # else it was moved aside while it was read
                self._whole.add(identity)
                self.violations += [f"{folder}: {problem}"] if problem else []
        except FileNotFoundError:
            return


def damage(folder: Path) -> str | None:
    """What is half about a published folder."""
    try:
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        for name, digest in manifest["files"].items():
            if hashlib.sha256((folder / name).read_bytes()).hexdigest() != digest:
                return f"{name} is not what the manifest says"
    except (OSError, ValueError, KeyError) as error:
        return f"{error.__class__.__name__}: {error}"
    return None


def processes(data: Path) -> Iterator[tuple[int, str]]:
    """Live processes whose environment names the data folder, with their command lines."""
    wanted = f"MEDCOT_DATA_DIR={data}".encode()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                if wanted not in (entry / "environ").read_bytes().split(b"\0"):
                    continue
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue  # it ended while we looked
            yield int(entry.name), command


def model_processes(data: Path) -> Iterator[int]:
    """Model processes that work on the data folder.

    A program that one of them starts bears its command line until it is executed; such a child is not counted.
    """
    found = {pid for pid, command in processes(data) if "medcot_pipeline.compute.child" in command}
    return (pid for pid in found if parent(pid) not in found)


def parent(pid: int) -> int | None:
    """Number of a process's parent; None where the process has ended."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return None


def main() -> None:
    watcher, ended = Watcher(Path(sys.argv[1])), []
    signal.signal(signal.SIGTERM, lambda *_: ended.append(True))
    while not ended:
        watcher.look()
        time.sleep(0.02)
    watcher.look()
    Path(sys.argv[2]).write_text(json.dumps(watcher.report()), encoding="utf-8")


if __name__ == "__main__":
    main()
