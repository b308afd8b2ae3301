"""One model process at a time, on one GPU or on one data folder's CPU, whichever Dagster home it was started from.

Dagster's pool does the same within one home; a lock of the operating system also holds between homes, and is let go by
the kernel when its holder dies, however it dies.

Belongs here: which file is the lock.
Does not: taking a lock (artifacts/locks.py), or deciding who needs it (worker.py).
"""

import contextlib
import os
import tempfile
from pathlib import Path

from medcot_pipeline.artifacts.locks import hold
from medcot_pipeline.progress import Say


def gpu_is_here() -> bool:
    """Whether this machine has a GPU, by its device file: asking PyTorch takes seconds."""
    return Path("/dev/nvidiactl").exists()


def lock_path(data: Path) -> Path:
    """The lock's file: of the machine's GPU where there is one, else of the data folder."""
    if gpu_is_here():
        visible = os.environ.get("CUDA_VISIBLE_DEVICES", "all").replace(",", "-").replace("/", "-")
        return Path(tempfile.gettempdir()) / f"medcot-gpu-{visible}.lock"
    return data / "cache" / "gpu.lock"


def gpu_lock(path: Path, holder: str, say: Say) -> contextlib.AbstractContextManager[None]:
    """Hold the lock; wait for it, and say for whom, while another process has it."""
    return hold(path, "the GPU", holder, say)
