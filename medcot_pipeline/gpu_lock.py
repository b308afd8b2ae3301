"""One model process at a time, on one GPU or on one data folder's CPU, whichever Dagster home it was started from.

Dagster's pool does the same within one home; a lock of the operating system also holds between homes, and is let go by
the kernel when its holder dies, however it dies.

Belongs here: taking the lock, saying who holds it.
Does not: deciding who needs it (worker.py).
"""

import contextlib
import fcntl
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from medcot_pipeline.progress import Say, duration

LOOK_AGAIN_SECONDS = 0.2
SAY_AGAIN_SECONDS = 60.0


def gpu_is_here() -> bool:
    """Whether this machine has a GPU, by its device file: asking PyTorch takes seconds."""
    return Path("/dev/nvidiactl").exists()


def lock_path(data: Path) -> Path:
    """The lock's file: of the machine's GPU where there is one, else of the data folder."""
    if gpu_is_here():
        visible = os.environ.get("CUDA_VISIBLE_DEVICES", "all").replace(",", "-").replace("/", "-")
        return Path(tempfile.gettempdir()) / f"medcot-gpu-{visible}.lock"
    return data / "cache" / "gpu.lock"


@contextlib.contextmanager
def gpu_lock(path: Path, holder: str, say: Say) -> Iterator[None]:
    """Hold the lock; wait for it, and say for whom, while another process has it.

    Args:
        path: the lock's file; other users of the machine can open it too.
        holder: how others will call this process.
        say: where waiting is said.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    with os.fdopen(descriptor, "r+", encoding="utf-8") as file:
        with contextlib.suppress(PermissionError):  # another user's file: it can be locked all the same
            path.chmod(0o666)
        _wait(file, say)
        file.seek(0)
        file.truncate()
        file.write(f"{holder}, process {os.getpid()}")
        file.flush()
        try:
            yield
        finally:
            file.seek(0)
            file.truncate()


def _wait(file: TextIO, say: Say) -> None:
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
                say(f"waiting for the GPU, which is held by {who}{waited}")
                first, said = False, now
            time.sleep(LOOK_AGAIN_SECONDS)
        else:
            return
