"""How perplexity is measured on a device: weights unpacked or not, how long lines are, memory and time.

Belongs here: the plan, every prediction, what figures depend on of it.
Does not belong here: measuring by it (likelihood.py), which rows there are (outlook.py, job.py).
"""

import dataclasses
from pathlib import Path
from typing import Any

from medcot_pipeline.evaluation.perplexity.packing.likelihood import LineBudget
from medcot_pipeline.inference.local.plan import HEADROOM_BYTES
from medcot_pipeline.inference.opening import knows
from medcot_pipeline.models.arms import made_with
from medcot_pipeline.models.devices import CONTEXT_BYTES, GB, Device
from medcot_pipeline.models.nf4 import is_nf4, weight_bytes
from medcot_pipeline.models.products import CHUNK_BYTES, round_up
from medcot_pipeline.models.shape import ModelShape
from medcot_pipeline.support.errors import MedcotError
from medcot_pipeline.support.progress import duration
from medcot_pipeline.training.steps.micro_batch import PACKED_WIDTH_MULTIPLE

GPU_TOKENS = 8192
"""Of a line: beyond this, longer ones are no faster."""
CPU_TOKENS = 2048
"""The same on a CPU, where half of it took 3 to 11 % longer."""
ADAPTER_RANK = 16
"""That memory is planned for, also where the base is measured alone: both arms are to have equal lines."""
REACHED_SHARE = 0.5
"""Share of a device's matrix rate that measuring is taken to reach."""


@dataclasses.dataclass(frozen=True)
class PerplexityPlan:
    """What was chosen, and what it should take.

    Attributes:
        device: the GPU's name, or the CPU's.
        unpack: whether NF4 weights are unpacked once; none leaves it to the memory of the host.
        line_tokens: most tokens of a line; 0 where every row is measured alone.
        weight_bytes: of all weights.
        memory_bytes: at the peak; none on a CPU.
        limit_bytes: memory that may be used; none on a CPU.
        token_seconds: of one token; none where the device's speed is not known.
    """

    device: str
    unpack: bool | None
    line_tokens: int
    weight_bytes: float
    memory_bytes: float | None = None
    limit_bytes: float | None = None
    token_seconds: float | None = None

    def line(self, tokens: int | None = None) -> str:
        """The plan as people read it; `tokens`: about how many are to be measured, if that is known."""
        held = {
            True: "unpacked once",
            False: "NF4, unpacked in every pass",
            None: "unpacked once where the memory of this machine allows",
        }[self.unpack]
        memory = "" if self.memory_bytes is None or self.limit_bytes is None else (
            f", about {self.memory_bytes / GB:.1f} GB of {self.limit_bytes / GB:.1f}"
        )  # fmt: skip
        speed = "" if self.token_seconds is None else f"; about {1 / self.token_seconds:,.0f} tokens/s"
        time = "" if not tokens or self.token_seconds is None else f" in about {duration(tokens * self.token_seconds)}"
        asked = f"; {tokens:,} tokens{time}" if tokens else ""
        return (
            f"measuring on {self.device}: weights {held} ({self.weight_bytes / GB:.1f} GB), "
            f"rows {_cut(self.line_tokens)}{memory}{speed}{asked}"
        )


def plan_perplexity(shape: ModelShape, device: Device, longest: int, *, packs: bool) -> PerplexityPlan:
    """Unpack weights where memory allows, and make lines as long as pays beside them.

    A budget is one of a few, not all that fits: two arms that are measured one after the other shall have the same,
    also where other work has taken a little of the GPU meanwhile.

    Args:
        shape: the base model.
        device: with the memory that may be used.
        longest: tokens of the longest row.
        packs: whether rows may share a line.

    Raises:
        MedcotError: the longest row does not fit.
    """
    if device.memory_gb is None:
        weights = weight_bytes(shape, 0, 4, packed=False)
        return PerplexityPlan(device.name, None, CPU_TOKENS if packs else 0, weights)
    limit, rate = device.memory_gb * GB, device.matrix_rate
    seconds = None if rate is None else forward_operations(shape, longest / 2) / (rate * REACHED_SHARE)
    needed = 0.0
    for unpack in (True, False):
        weights = weight_bytes(shape, ADAPTER_RANK, 2, packed=not unpack)
        for budget in _budgets(longest) if packs else [0]:
            needed = weights + beside_bytes(
                shape, max(budget, round_up(longest, PACKED_WIDTH_MULTIPLE)), nf4=not unpack
            )
            if needed <= limit:
                return PerplexityPlan(device.name, unpack, budget, weights, needed, limit, seconds)
    raise MedcotError(
        f"{device.name} with {device.memory_gb:.1f} GB is too small to measure a row of {longest:,} tokens: "
        f"{(needed - limit) / GB:.1f} GB more are needed.",
        "Free the GPU, or lower MEDCOT_PERPLEXITY__MAX_ROW_TOKENS.",
    )


def _budgets(longest: int) -> list[int]:
    """The most tokens that pay, and halves of it that hold the longest row; at last that row alone."""
    halves = [GPU_TOKENS >> times for times in range(4)]
    return [*(budget for budget in halves if budget >= longest), round_up(longest, PACKED_WIDTH_MULTIPLE)]


def beside_bytes(shape: ModelShape, tokens: int, *, nf4: bool) -> float:
    """Bytes that a line of so many tokens needs beside the weights.

    PEFT computes LoRA in float32: of a wide layer's output stand there its own, LoRA's, that scaled, and their sum.

    Args:
        shape: the base model.
        tokens: of the line.
        nf4: whether weights are unpacked in every pass.
    """
    line = tokens * (20 * shape.feed_forward + 16 * shape.hidden)
    logits = 1.5 * CHUNK_BYTES["cuda"]  # as multiplied, and in float32
    unpacked = 2 * shape.feed_forward * shape.hidden if nf4 else 0
    return line + logits + unpacked + CONTEXT_BYTES + HEADROOM_BYTES


def forward_operations(shape: ModelShape, mean_row_tokens: float) -> float:
    """Floating-point operations of one token's forward pass, by the mean length of a row: a token sees half of it."""
    attention = shape.layers * 2.0 * shape.heads * shape.head_size * mean_row_tokens
    return 2.0 * shape.linear_parameters + attention + 2.0 * shape.vocabulary * shape.hidden


def may_pack(base: Path, device: Device) -> bool:
    """Whether rows of this base may share a line: the varlen kernel knows neither windows nor older GPUs."""
    return knows(base) and device.packs_rows


def measured_with(model: Any, plan: PerplexityPlan, budget: LineBudget) -> dict[str, str]:
    """What likelihoods depend on beside model and texts: packages, device, how weights are held and lines are cut.

    A product rounds by the number of its rows, and so a token's likelihood depends on the length of its line.

    Args:
        model: as it was measured.
        plan: that it was measured by.
        budget: as it was left.
    """
    packed = any(is_nf4(layer) for layer in model.modules() if hasattr(layer, "weight"))
    lowered = f", {budget.tokens:,} where memory ran out" if budget.lowered else ""
    return {
        **made_with(unpacked=not packed),
        "rows": _cut(plan.line_tokens) + lowered,
    }


def _cut(line_tokens: int) -> str:
    return f"packed in lines of {line_tokens:,} tokens" if line_tokens else "each alone"
