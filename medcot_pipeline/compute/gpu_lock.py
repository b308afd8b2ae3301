"""One model process at a time on each GPU, or on one data folder's CPU, whoever starts it and from which Dagster home.

A lock of the operating system works within one home and across homes and users, and the kernel releases it when its
holder dies, for whatever reason. A GPU is locked by its own device file, which belongs to root and is the same for all
users of the machine: nothing is made in a folder that others can write to, and nothing can be put in its place.

Belongs here: which files are the locks, and taking them all.
Does not belong here: taking one (support/locks.py), or deciding who needs it (child.py).
"""

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from medcot_pipeline.support.locks import hold, hold_device
from medcot_pipeline.support.progress import Say

DEVICES = Path("/dev")
DRIVER = Path("/proc/driver/nvidia/gpus")


@dataclass(frozen=True)
class Gpu:
    """One GPU of this machine, by what the driver says of it."""

    uuid: str
    model: str
    device: Path


def gpu_is_here() -> bool:
    """Whether this machine has a GPU, by its device file: asking PyTorch takes seconds."""
    return (DEVICES / "nvidiactl").exists()


def lock_paths(data: Path) -> list[Path]:
    """The locks' files, in the order in which they are taken: of each GPU that a process here sees, else the data's."""
    found = gpus(DRIVER, DEVICES) if gpu_is_here() else []
    chosen = visible(found, os.environ.get("CUDA_VISIBLE_DEVICES"), os.environ.get("CUDA_DEVICE_ORDER", ""))
    return sorted(gpu.device for gpu in chosen) or [data / "cache" / "gpu.lock"]


def gpus(driver: Path, devices: Path) -> list[Gpu]:
    """The GPUs whose device files are here, in the order of their places on the bus.

    Args:
        driver: folder in which the driver describes each GPU; where it is absent, each device file is a GPU unknown.
        devices: folder of device files.
    """
    found = []
    for path in sorted(driver.glob("*/information")):
        lines = (line.partition(":") for line in path.read_text(encoding="utf-8", errors="replace").splitlines())
        said = {name.strip(): value.strip() for name, _, value in lines}
        device = devices / f"nvidia{said.get('Device Minor', '')}"
        if device.exists():
            found.append(Gpu(said.get("GPU UUID", ""), said.get("Model", ""), device))
    unknown = set(devices.glob("nvidia[0-9]*")) - {gpu.device for gpu in found}
    return [*found, *(Gpu("", "", path) for path in sorted(unknown))]


def visible(found: Sequence[Gpu], variable: str | None, order: str) -> list[Gpu]:
    """The GPUs that a process may use; all of them where that cannot be told.

    Args:
        found: of `gpus`.
        variable: CUDA_VISIBLE_DEVICES: numbers, or beginnings of UUIDs; CUDA ignores what follows a wrong one.
        order: CUDA_DEVICE_ORDER. Unless it is PCI_BUS_ID, CUDA numbers the GPUs by speed, which is the order on the bus
            only where all are of one model.
    """
    if variable is None:
        return list(found)
    numbered = order == "PCI_BUS_ID" or len({gpu.model for gpu in found}) == 1
    chosen = []
    for name in (each.strip() for each in variable.split(",")):
        if name.startswith("MIG-") or (name.isdecimal() and not numbered):
            return list(found)
        if name.isdecimal():
            named = [found[int(name)]] if int(name) < len(found) else []
        else:
            named = [gpu for gpu in found if name and gpu.uuid.startswith(name)]
        if len(named) != 1:
            break
        chosen += named
    return chosen


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


def _is_device(path: Path) -> bool:
    return path.is_char_device()
