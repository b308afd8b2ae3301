"""Energy of a run, where the driver counts it.

Belongs here: reading NVML's counter.
Does not belong here: estimates; what is not measured is not reported.
"""

from typing import Any


class EnergyMeter:
    """Energy that the first GPU used since this was made."""

    def __init__(self) -> None:
        self._before = _millijoules()

    def kwh(self) -> float | None:
        """Kilowatt hours, or none where NVML does not count them."""
        after = _millijoules()
        if self._before is None or after is None:
            return None
        return round((after - self._before) / 3.6e9, 5)


def _millijoules() -> int | None:
    try:
        import pynvml

        pynvml.nvmlInit()
        handle: Any = pynvml.nvmlDeviceGetHandleByIndex(0)
        return int(pynvml.nvmlDeviceGetTotalEnergyConsumption(handle))
    except (ImportError, OSError):
        return None
    except pynvml.NVMLError:
        return None
