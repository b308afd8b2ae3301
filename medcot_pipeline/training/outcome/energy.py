"""Energy of a run, where the driver counts it.

Belongs here: reading NVML's counter.
Does not belong here: estimates; what is not measured is not reported.
"""

from typing import Any


class EnergyMeter:
    """Energy that this process's GPU used since this was made."""

    def __init__(self) -> None:
        self._before = _millijoules()

    def kwh(self) -> float | None:
        """Kilowatt hours, or none where NVML does not count them."""
        after = _millijoules()
        if self._before is None or after is None:
            return None
        return round((after - self._before) / 3.6e9, 5)


def _millijoules() -> int | None:
    import torch

    if not torch.cuda.is_available():
        return None
    try:
        import pynvml

        pynvml.nvmlInit()
        # NVML numbers all GPUs of the machine; this process may see some of them alone.
        handle: Any = pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{torch.cuda.get_device_properties(0).uuid}")
        return int(pynvml.nvmlDeviceGetTotalEnergyConsumption(handle))
    except (ImportError, OSError):
        return None
    except pynvml.NVMLError:
        return None
