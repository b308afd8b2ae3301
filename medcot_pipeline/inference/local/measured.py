"""What memory is left once a model's weights are on the device, and a cache that fits it.

Belongs here: measuring, and what is done where less fits than was planned.
Does not belong here: what is chosen before (plan.py), what a cache is (cache.py).
"""

import contextlib
import dataclasses
from typing import Any

from medcot_pipeline.inference.local.cache import Cache, place_bytes
from medcot_pipeline.inference.local.forward import decode_step, prefill
from medcot_pipeline.inference.local.plan import HEADROOM_BYTES, EnginePlan, padded
from medcot_pipeline.inference.local.weights import DecoderWeights
from medcot_pipeline.models.devices import CONTEXT_BYTES, GB, most_reserved
from medcot_pipeline.support.errors import MedcotError
from medcot_pipeline.support.progress import Say


@dataclasses.dataclass(frozen=True)
class Taken:
    """Bytes of a GPU's memory, measured once the weights are there.

    Attributes:
        reserved: that PyTorch holds, the weights for the most part.
        free: that nobody holds.
        reading: that reading the most prompts takes besides.
        step: that a decoding step of all rows takes besides.
    """

    reserved: int
    free: int
    reading: int
    step: int


def try_out(weights: DecoderWeights, plan: EnginePlan, operations: Any, state: Any) -> Taken:
    """Read the most prompts that are read together, and take a step of all rows, with a cache of nobody's block alone.

    Raises:
        MedcotError: not even these fit.
    """
    import torch

    nobodys = Cache(weights.shape, 0, plan.block_tokens, weights.dtype, weights.device)
    width, adapter = min(padded(plan.longest), len(weights.cos)), weights.has_adapter
    ids = torch.zeros(max(1, plan.prefill_tokens // width), width, dtype=torch.int64, device=weights.device)
    try:
        with torch.no_grad():
            reading = most_reserved(lambda: prefill(weights, nobodys, ids, ids.flatten(), ids[:, 0], adapter=adapter))
            step = most_reserved(lambda: decode_step(weights, nobodys, state, operations, adapter=adapter))
    except torch.OutOfMemoryError:
        raise MedcotError(
            f"out of memory while trying out {ids.numel():,} tokens of prompts and a step of {plan.rows} rows.",
            "Free the GPU, or set MEDCOT_INFERENCE__ROWS lower.",
        ) from None
    return Taken(torch.cuda.memory_reserved(), torch.cuda.mem_get_info()[0], reading, step)


def blocks_left(plan: EnginePlan, weights: DecoderWeights, taken: Taken) -> tuple[int, str]:
    """Blocks of the plan that fit beside what is taken, a whole row's at least; and a line that says so.

    Args:
        plan: with a limit.
        weights: the model's.
        taken: as measured.
    """
    limit = (plan.limit_bytes or float("inf")) - CONTEXT_BYTES
    left = min(limit - taken.reserved, taken.free) - taken.reading - taken.step
    each = plan.block_tokens * place_bytes(weights.shape, weights.dtype.itemsize)
    blocks = max(plan.row_blocks, min(plan.blocks, int((left - HEADROOM_BYTES) // each) - 1))  # one more is nobody's
    cache = (blocks + 1) * each
    return blocks, (
        f"memory: weights {taken.reserved / GB:.2f} GB, cache of {blocks * plan.block_tokens:,} tokens "
        f"{cache / GB:.2f}, reading prompts {taken.reading / GB:.2f}, a step of {plan.rows} rows "
        f"{taken.step / GB:.2f}, spare {(left - cache) / GB:.2f}; PyTorch may take {limit / GB:.2f}"
    )


def make_cache(weights: DecoderWeights, plan: EnginePlan, blocks: int, say: Say) -> Cache:
    """A cache of so many blocks, or of what there is memory for, which is said.

    Raises:
        MedcotError: not even one row.
    """
    import torch

    while blocks >= plan.row_blocks:
        if weights.device.type == "cuda":
            torch.cuda.empty_cache()
        with contextlib.suppress(torch.OutOfMemoryError):
            return Cache(weights.shape, blocks, plan.block_tokens, weights.dtype, weights.device)
        blocks = blocks * 4 // 5
        say(f"out of memory: trying a cache of {blocks * plan.block_tokens:,} tokens")
    size = plan.row_blocks * plan.block_tokens * place_bytes(weights.shape, weights.dtype.itemsize)
    raise MedcotError(
        f"the cache of a single row of {plan.longest:,} tokens ({size / GB:.1f} GB) does not fit in the free memory.",
        f"Lower {plan.limited_by}, or free the GPU.",
    )
