"""How much memory writing takes, and how fast it can be: what is chosen before a model is taken apart.

Belongs here: whether weights are unpacked, how many rows and blocks there are, every prediction, and what is done
where less fits.
Does not: what a cache is (cache.py), the device (models/devices.py).
"""

import contextlib
import dataclasses
from typing import Any

from medcot_pipeline.inference.local.cache import Cache, place_bytes
from medcot_pipeline.inference.local.forward import decode_step, prefill
from medcot_pipeline.inference.local.weights import DecoderWeights
from medcot_pipeline.inference.requests import Request
from medcot_pipeline.models.devices import GB, Device, most_reserved
from medcot_pipeline.models.shape import ModelShape
from medcot_pipeline.settings import LocalEngineSettings
from medcot_pipeline.support.errors import MedcotError
from medcot_pipeline.support.progress import Say, duration

GPU_ROWS, CPU_ROWS = 128, 16
"""Rows at once where none are set: beyond these a step takes longer in proportion."""
GPU_BLOCK_TOKENS = 64
GPU_STEPS, CPU_STEPS = 8, 1
"""Decoding steps between two looks at what was written: a look costs a GPU about a tenth of a step."""
PREFILL_TOKENS = 2048
"""Padded tokens of the prompts that are read together."""
PREFILL_MULTIPLE = 64
"""Prompts that are read together are padded to a multiple: odd widths are slow on a GPU."""
LEAST_ROWS = 8
"""Rows of full length that must fit beside unpacked weights; else they stay in NF4."""
CONTEXT_BYTES = 0.6 * GB
"""CUDA's own memory, which PyTorch does not count."""
HEADROOM_BYTES = 0.5 * GB
"""Left free: fragmentation, cuBLAS's workspaces of the streams that steps are recorded on, recorded steps."""
NF4_BYTES = 4.127 / 8
"""Bytes of a weight in NF4 with double quantisation."""
BANDWIDTHS = {"H200": 4.8e12, "H100": 3.35e12, "A100": 2.0e12, "L40S": 0.86e12, "4090": 1.01e12, "3090": 0.94e12}
"""Bytes per second of a GPU's memory, by part of its name, from the makers' data sheets."""
REACHED_SHARE = 0.6
"""Share of the bandwidth that a decoding step is taken to reach."""


@dataclasses.dataclass(frozen=True)
class EnginePlan:
    """What was chosen, and what it should take.

    Attributes:
        device: the GPU's name, or `CPU`.
        keep_nf4: whether packed weights stay packed and are unpacked in every step.
        rows: requests written at once, at most.
        blocks: of the cache.
        block_tokens: places of a block.
        longest: tokens of the longest row, prompt and answer.
        prefill_tokens: padded tokens of the prompts that are read together; on a CPU each is read alone.
        steps: decoding steps between two looks at what was written.
        weight_bytes: of all weights.
        limit_bytes: memory that may be used; none on a CPU.
        step_seconds: of a decoding step of all rows at half their length; none where the bandwidth is not known.
    """

    device: str
    keep_nf4: bool
    rows: int
    blocks: int
    block_tokens: int
    longest: int
    prefill_tokens: int
    steps: int
    weight_bytes: float
    limit_bytes: float | None
    step_seconds: float | None

    @property
    def row_tokens(self) -> int:
        """Places that a row may come to need: a finished one goes on until the next look."""
        return self.longest + self.steps

    @property
    def row_blocks(self) -> int:
        """Blocks that a row may come to need."""
        return -(-self.row_tokens // self.block_tokens)

    def refuse_too_long(self, request: Request) -> None:
        """Refuse what the cache has no rows for.

        Raises:
            MedcotError: prompt and answer are longer than the longest row, or there is nothing to read or to write.
        """
        tokens = len(request.prompt_ids) + request.max_tokens
        if not request.prompt_ids or request.max_tokens < 1:
            raise MedcotError(f"request {request.id}: an empty prompt, or nothing to write.")
        if tokens > self.longest:
            raise MedcotError(
                f"request {request.id}: {len(request.prompt_ids):,} tokens of prompt and {request.max_tokens:,} of "
                f"answer do not fit the cache's rows of {self.longest:,}.",
                "Shorten the prompt, or lower the most tokens of an answer.",
            )

    def _steps_for(self, tokens: float) -> float:
        """Steps: as many rows as the cache holds at half their length, and never fewer steps than the longest row."""
        held = self.blocks * self.block_tokens / (self.longest / 2)
        return max(tokens / min(self.rows, held), self.longest)

    def lines(self, tokens: float | None = None) -> list[str]:
        """The plan as people read it; `tokens`: how many are to be written, if that is known."""
        kept = "NF4, unpacked in every step" if self.keep_nf4 else "unpacked once"
        memory = "" if self.limit_bytes is None else f" within {self.limit_bytes / GB:.1f} GB"
        speed = "" if self.step_seconds is None else f"; about {self.rows / self.step_seconds:,.0f} tokens/s at most"
        time = "" if not tokens or self.step_seconds is None else (
            f", {tokens:,.0f} tokens in about {duration(self._steps_for(tokens) * self.step_seconds)}"
        )  # fmt: skip
        return [
            f"writing on {self.device}: weights {kept} ({self.weight_bytes / GB:.1f} GB), up to {self.rows} rows of "
            f"{self.longest:,} tokens, cache of {self.blocks * self.block_tokens:,} tokens{memory}{speed}{time}"
        ]


def plan_engine(
    shape: ModelShape, device: Device, settings: LocalEngineSettings, longest: int, *, lora_rank: int, nf4: bool
) -> EnginePlan:
    """Choose rows and cache within the memory, weights unpacked where that leaves room.

    Args:
        shape: the model.
        device: with the memory that may be used.
        settings: rows that a person set are kept.
        longest: tokens of the longest row, prompt and answer.
        lora_rank: of an adapter on all linear modules; 0 for none.
        nf4: whether the model is loaded packed.

    Raises:
        MedcotError: one row of that length does not fit.
    """
    if device.memory_gb is None:
        rows = settings.rows or CPU_ROWS
        weights = weight_bytes(shape, lora_rank, 4, packed=False)
        return EnginePlan(
            device.name, False, rows, rows, longest + CPU_STEPS, longest, 0, CPU_STEPS, weights, None, None
        )  # fmt: skip
    limit, prefill = device.memory_gb * GB, max(PREFILL_TOKENS, longest)
    each = place_bytes(shape, 2) * GPU_BLOCK_TOKENS
    row_blocks = -(-(longest + GPU_STEPS) // GPU_BLOCK_TOKENS)
    rows = settings.rows or GPU_ROWS
    room = 0.0
    for packed, least in ((False, LEAST_ROWS if nf4 else 1), (True, 1)):
        weights = weight_bytes(shape, lora_rank, 2, packed=packed)
        room = limit - weights - beside_bytes(shape, rows, row_blocks * GPU_BLOCK_TOKENS, prefill)
        if room >= min(least, rows) * row_blocks * each:
            blocks = int(min(room // each, rows * row_blocks))
            used = weights + blocks * each / 2
            rate = next((rate for part, rate in BANDWIDTHS.items() if part in device.name), None)
            seconds = None if rate is None or packed else used / (rate * REACHED_SHARE)
            return EnginePlan(
                device.name,
                packed,
                rows,
                blocks,
                GPU_BLOCK_TOKENS,
                longest,
                prefill,
                GPU_STEPS,
                weights,
                limit,
                seconds,
            )
        if not nf4:
            break
    raise MedcotError(
        f"{device.name} with {device.memory_gb:.1f} GB is too small to write rows of {longest:,} tokens: "
        f"{(row_blocks * each - room) / GB:.1f} GB are lacking.",
        "Lower the most tokens of an answer.",
    )


def padded(tokens: int) -> int:
    """The width that prompts of at most so many tokens are read at on a GPU."""
    return -(-tokens // PREFILL_MULTIPLE) * PREFILL_MULTIPLE


def weight_bytes(shape: ModelShape, lora_rank: int, itemsize: int, *, packed: bool) -> float:
    """Bytes of all weights; embeddings and LoRA are never packed."""
    embeddings = itemsize * shape.vocabulary * shape.hidden * (1 if shape.tied else 2)
    linear = shape.linear_parameters * (NF4_BYTES if packed else itemsize)
    return embeddings + linear + 4.0 * itemsize * shape.adapter_parameters(lora_rank)  # `up` has zeros between


def beside_bytes(shape: ModelShape, rows: int, row_tokens: int, prefill_tokens: int) -> float:
    """Bytes that writing needs beside weights and cache: reading prompts or a step, whichever is more."""
    heads = (shape.heads + 2 * shape.key_heads) * shape.head_size
    reading = prefill_tokens * 2 * (3 * shape.feed_forward + 2 * heads + 6 * shape.hidden)
    logits = rows * shape.vocabulary * 2 * 2
    partial = rows * shape.heads * -(-row_tokens // 256) * (shape.head_size + 2) * 4
    return max(reading, logits + partial) + CONTEXT_BYTES + HEADROOM_BYTES


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
            "Free the GPU, or set a lower number of rows.",
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
        f"the cache of a single row of {plan.longest:,} tokens ({size / GB:.1f} GB) does not fit the memory left.",
        "Lower the most tokens of an answer, or free the GPU.",
    )
