"""One model process at a time on each GPU, or on one data folder's CPU, whoever starts it and from which Dagster home.

A lock of the operating system works within one home and across homes and users, and the kernel releases it when its
holder dies, for whatever reason. A GPU is locked by its own device file, which belongs to root and is the same for all
users of the machine: nothing is made in a folder that others can write to, and nothing can be put in its place.

Belongs here: which files are the locks, choosing GPUs, and taking their locks.
Does not belong here: taking one lock (support/locks.py), which GPUs there are (gpus.py), or deciding who needs them
(child.py).
"""

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from medcot_pipeline.compute.gpus import visible_gpus
from medcot_pipeline.support.locks import hold, hold_device, holder_of
from medcot_pipeline.support.progress import Say


def lock_paths(data: Path) -> list[Path]:
    """The locks' files, in the order in which they are taken: of each GPU that a process here sees, else the data's."""
    return _in_order([gpu.locks for gpu in visible_gpus()]) or [data / "cache" / "gpu.lock"]


@contextlib.contextmanager
def hold_gpus(data: Path, count: int, holder: str, say: Say) -> Iterator[list[str]]:
    """Hold the locks of so many GPUs, or of the data folder where there is none.

    Free GPUs are taken first. Which are free is looked at once; the locks of the chosen ones are then taken in the
    order of their files, so that no two processes wait for each other.

    Args:
        data: the data folder.
        count: how many GPUs.
        holder: what others call this process while they wait.
        say: told while this process waits.

    Yields:
        The GPUs' names for CUDA_VISIBLE_DEVICES.
    """
    free_first = sorted(visible_gpus(), key=lambda gpu: any(map(holder_of, gpu.locks)))
    chosen = free_first[:count]
    paths = _in_order([gpu.locks for gpu in chosen]) or lock_paths(data)
    with gpu_lock(paths, holder, say):
        yield [gpu.name for gpu in chosen]


def see_only(names: Sequence[str]) -> None:
    """Hide all GPUs but some from this process; to be called before anything of CUDA is loaded."""
    if len(names) < len(visible_gpus()):
        os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(names)


@contextlib.contextmanager
def gpu_lock(paths: Sequence[Path], holder: str, say: Say) -> Iterator[None]:
    """Hold every lock of `lock_paths`; wait for each, and say for whom, while another process has it."""
    with contextlib.ExitStack() as held:
        for path in paths:
            locked = (
                hold_device(path, f"the GPU {path}", say) if _is_device(path) else hold(path, "the GPU", holder, say)
            )
            held.enter_context(locked)
        yield


def _in_order(locks: Sequence[Sequence[Path]]) -> list[Path]:
    return sorted({path for each in locks for path in each})


def _is_device(path: Path) -> bool:
    return path.is_char_device()
