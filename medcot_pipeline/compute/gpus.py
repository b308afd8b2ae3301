"""Which GPUs this machine has, and which of them a process sees, without asking PyTorch, which takes seconds.

Belongs here: the GPUs by what the driver says, their names for CUDA, how many a job gets.
Does not belong here: locking them (gpu_lock.py), what they hold and how fast they are (models/devices.py).
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from medcot_pipeline.support.errors import MedcotError

DEVICES = Path("/dev")
DRIVER = Path("/proc/driver/nvidia/gpus")
GpusAsked = Literal["auto"] | int
"""How many GPUs a setting asks for; `auto`: all that are visible."""


@dataclass(frozen=True)
class Gpu:
    """One GPU of this machine, by what the driver says of it."""

    uuid: str
    model: str
    device: Path


@dataclass(frozen=True)
class VisibleGpu:
    """A GPU that a process sees.

    Attributes:
        name: for CUDA_VISIBLE_DEVICES.
        locks: files that are locked for it: its own, or all of them where it cannot be told which is its own.
    """

    name: str
    locks: tuple[Path, ...]


def gpu_is_here() -> bool:
    """Whether this machine has a GPU, by its device file: asking PyTorch takes seconds."""
    return (DEVICES / "nvidiactl").exists()


def visible_gpus() -> list[VisibleGpu]:
    """The GPUs that this process sees, in the order in which CUDA numbers them."""
    found = gpus(DRIVER, DEVICES) if gpu_is_here() else []
    return named(found, os.environ.get("CUDA_VISIBLE_DEVICES"), os.environ.get("CUDA_DEVICE_ORDER", ""))


def gpus_to_use(asked: GpusAsked, seen: int) -> int:
    """How many ranks a job gets: one on each GPU that is asked for, and one where there is no GPU.

    Args:
        asked: the setting.
        seen: GPUs that are visible.

    Raises:
        MedcotError: more are asked for than are seen.
    """
    most = max(1, seen)
    if asked == "auto":
        return most
    if asked > most:
        raise MedcotError(
            f"MEDCOT_COMPUTE__GPUS={asked}, but {seen or 'no'} GPU{'s are' if seen > 1 else ' is'} visible here.",
            f"Set it to {most} or auto, or let more be seen with CUDA_VISIBLE_DEVICES.",
        )
    return asked


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


def named(found: Sequence[Gpu], variable: str | None, order: str) -> list[VisibleGpu]:
    """The GPUs that a process sees, each by its UUID and with its own lock where that can be told.

    Args:
        found: of `gpus`.
        variable: CUDA_VISIBLE_DEVICES: numbers, or beginnings of UUIDs; CUDA ignores what follows a wrong one.
        order: CUDA_DEVICE_ORDER. Unless it is PCI_BUS_ID, CUDA numbers the GPUs by speed, which is the order on the bus
            only where all are of one model.
    """
    told = _told(found, variable, order)
    if told is not None and all(gpu.uuid for gpu in told):
        return [VisibleGpu(gpu.uuid, (gpu.device,)) for gpu in told]
    names = [str(number) for number in range(len(found))] if variable is None else _names(variable)
    seen = list(found) if told is None else told
    locks = tuple(sorted(gpu.device for gpu in seen))
    return [VisibleGpu(name, locks) for name in (names if told is None else names[: len(told)])]


def _told(found: Sequence[Gpu], variable: str | None, order: str) -> list[Gpu] | None:
    """The GPUs that a process sees; None where that cannot be told."""
    if variable is None:
        return list(found)
    numbered = order == "PCI_BUS_ID" or len({gpu.model for gpu in found}) == 1
    chosen = []
    for name in _names(variable):
        if name.startswith("MIG-") or (name.isdecimal() and not numbered):
            return None
        if name.isdecimal():
            meant = [found[int(name)]] if int(name) < len(found) else []
        else:
            meant = [gpu for gpu in found if name and gpu.uuid.startswith(name)]
        if len(meant) != 1:
            break
        chosen += meant
    return chosen


def _names(variable: str) -> list[str]:
    return [name.strip() for name in variable.split(",")]
