"""The device that a model is loaded on: what it is called, what it holds, how fast it multiplies.

Belongs here: this machine's GPU or CPU, the device that is assumed where there is none, limits of this process.
Does not belong here: taking the device from others (compute/gpu_lock.py), loading anything on it (load.py).
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from medcot_pipeline.support.errors import MedcotError

GB = 1e9
MATRIX_RATES = {"H200": 800e12, "H100": 800e12, "A100": 312e12, "L40S": 362e12, "4090": 165e12, "3090": 71e12}
"""bfloat16 operations per second of a dense matrix product, by part of a GPU's name."""
BANDWIDTHS = {"H200": 4.8e12, "H100": 3.35e12, "A100": 2.0e12, "L40S": 0.86e12, "4090": 1.01e12, "3090": 0.94e12}
"""Bytes per second of a GPU's memory, by part of its name, from the makers' data sheets."""
CONTEXT_BYTES = 0.6 * GB
"""CUDA's own memory, which PyTorch does not count."""
ASSUMED_GPU = "NVIDIA GeForce RTX 4090"
ASSUMED_GPU_GB = 24.0


@dataclasses.dataclass(frozen=True)
class Device:
    """What computes: `name`, memory that may be used in GB (none on a CPU), and whether it has the varlen kernel."""

    name: str
    memory_gb: float | None
    varlen_kernel: bool

    @property
    def packs_rows(self) -> bool:
        """Whether rows can stand in one line that pass the model once: by the kernel, or one by one on a CPU."""
        return self.memory_gb is None or self.varlen_kernel

    @property
    def matrix_rate(self) -> float | None:
        """bfloat16 operations per second, where the name is known."""
        return self._of(MATRIX_RATES)

    @property
    def bandwidth(self) -> float | None:
        """Bytes per second of its memory, where the name is known."""
        return self._of(BANDWIDTHS)

    def _of(self, rates: Mapping[str, float]) -> float | None:
        return next((rate for part, rate in rates.items() if part in self.name), None)


def this_device(max_gpu_memory_gb: float | None) -> Device:
    """The GPU of this machine with what is free of it (or the limit, if less), or its CPU."""
    import torch

    if not torch.cuda.is_available():
        return Device(f"CPU, {torch.get_num_threads()} threads", None, varlen_kernel=False)
    free, _ = torch.cuda.mem_get_info()
    memory = min(free / GB, max_gpu_memory_gb or float("inf"))
    return Device(torch.cuda.get_device_name(0), memory, has_varlen_kernel())


def least_of(devices: Sequence[Device]) -> Device:
    """What a plan for all of these devices may count on: one like the others, with the least free memory of any.

    Raises:
        MedcotError: they are not of one kind, and would round otherwise.
    """
    names = sorted({device.name for device in devices})
    if len(names) > 1:
        raise MedcotError(
            f"GPUs that train together must be of one kind, not {', '.join(names)}.",
            "Name GPUs of one kind in CUDA_VISIBLE_DEVICES, or lower MEDCOT_COMPUTE__GPUS.",
        )
    return min(devices, key=lambda device: device.memory_gb or 0.0)


def assumed_device(max_gpu_memory_gb: float | None) -> Device:
    """The GPU that a plan without one is made for."""
    return Device(ASSUMED_GPU, max_gpu_memory_gb or ASSUMED_GPU_GB, varlen_kernel=True)


def planned_device(max_gpu_memory_gb: float | None, *, gpu_here: bool) -> Device:
    """The GPU of this machine; without one that of the limit, or a CPU where there is no limit either."""
    if gpu_here:
        return this_device(max_gpu_memory_gb)
    if max_gpu_memory_gb is not None:
        return assumed_device(max_gpu_memory_gb)
    return Device("CPU", None, varlen_kernel=False)


def has_varlen_kernel() -> bool:
    """Whether this GPU has PyTorch's variable-length flash kernel: compute capability 8.0 (Ampere) or newer."""
    import torch

    if not torch.cuda.is_available() or torch.version.hip is not None:
        return False
    return torch.cuda.get_device_capability()[0] >= 8 and torch.backends.cuda.is_flash_attention_available()


def device() -> str:
    """`cuda` where there is a GPU, else `cpu`."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def compute_dtype(*, training: bool = False) -> Any:
    """bfloat16 on a GPU; float32 on a CPU, but for training where the CPU multiplies bfloat16 itself."""
    import torch

    fast = device() == "cuda" or (training and torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return torch.bfloat16 if fast else torch.float32


def limit_gpu_memory(gigabytes: float | None) -> None:
    """Let this process allocate at most so many GB (10^9 bytes) of the GPU; no limit, or no GPU, changes nothing."""
    import torch

    if gigabytes is not None and device() == "cuda":
        total = torch.cuda.get_device_properties(0).total_memory
        torch.cuda.set_per_process_memory_fraction(min(1.0, gigabytes * GB / total))


def hold_to(limit_bytes: float | None) -> None:
    """Limit this process to so many bytes of the GPU, CUDA's own included; no limit, or no GPU, changes nothing."""
    limit_gpu_memory(None if limit_bytes is None else (limit_bytes - CONTEXT_BYTES) / GB)


def most_reserved(work: Callable[[], Any]) -> int:
    """Bytes of the GPU that PyTorch reserves for some work beside what it holds already; given back afterwards."""
    import torch

    torch.cuda.empty_cache()
    before = torch.cuda.memory_reserved()
    torch.cuda.reset_peak_memory_stats()
    work()
    torch.cuda.synchronize()
    most = torch.cuda.max_memory_reserved() - before
    torch.cuda.empty_cache()
    return most


def memory_line() -> str:
    """How much GPU memory is in use now; `others`: what CUDA itself takes in this process, and all other processes."""
    import torch

    free, total = torch.cuda.mem_get_info()
    used, reserved = torch.cuda.memory_allocated(), torch.cuda.memory_reserved()
    return (
        f"{used / GB:.2f} GB used, {reserved / GB:.2f} reserved, {torch.cuda.max_memory_reserved() / GB:.2f} at most, "
        f"{(total - free - reserved) / GB:.2f} others, {free / GB:.2f} of {total / GB:.2f} free"
    )


def fix_threads() -> None:
    """Compute on this number of threads throughout: left alone, MKL may take fewer, and sums in another order."""
    import torch

    torch.set_num_threads(torch.get_num_threads())
