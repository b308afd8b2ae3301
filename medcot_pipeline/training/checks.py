"""What must hold of an adapter before it is published.

Belongs here: one function per check, over the files of the artifact and of its inputs; blocking where the next stage
would be wrong.
Does not belong here: repairing anything.
"""

import math
from pathlib import Path

from medcot_pipeline.pipeline.check import Check, Inputs
from medcot_pipeline.support.json_files import read_json


def adapter_changes_something(folder: Path, inputs: Inputs) -> tuple[bool, str]:
    """Some weight of the adapter's second factor is not zero."""
    from safetensors import safe_open

    with safe_open(folder / "adapter_model.safetensors", framework="np") as tensors:
        names = [name for name in tensors.keys() if "lora_B" in name]  # noqa: SIM118 - not a dict
        largest = max((float(abs(tensors.get_tensor(name)).max()) for name in names), default=0.0)
    return math.isfinite(largest) and largest > 0, f"Largest weight of lora_B: {largest:.3g}."


def loss_fell(folder: Path, inputs: Inputs) -> tuple[bool, str]:
    """The loss of the last steps is below that of the first."""
    loss = [value for _, value in read_json(folder / "curves.json")["loss"]]
    few = max(1, len(loss) // 5)
    first, last = sum(loss[:few]) / few, sum(loss[-few:]) / few
    return last < first, f"Loss {first:.3f} over the first {few} steps, {last:.3f} over the last."


ADAPTER = (
    Check("adapter_changes_something", "Does the adapter differ from zero?", adapter_changes_something),
    Check("loss_fell", "Did the loss fall?", loss_fell, blocking=False),
)
