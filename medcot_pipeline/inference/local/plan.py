"""How much memory writing takes, and how fast it can be: what is chosen before a model is taken apart.

Belongs here: whether weights are unpacked, how many rows and blocks there are, every prediction.
Does not belong here: what is left once the weights are there (measured.py), what a cache is (cache.py), the device
(models/devices.py).
"""

import dataclasses
from collections.abc import Sequence

from medcot_pipeline.inference.local.cache import SPLIT_TOKENS, place_bytes
from medcot_pipeline.inference.local.expected.lengths import Ahead, expected_ahead
from medcot_pipeline.inference.local.rows import Row
from medcot_pipeline.inference.requests import Request
from medcot_pipeline.models.devices import CONTEXT_BYTES, GB, Device
from medcot_pipeline.models.nf4 import weight_bytes
from medcot_pipeline.models.products import round_up
from medcot_pipeline.models.shape import ModelShape
from medcot_pipeline.settings import LocalEngineSettings
from medcot_pipeline.support.errors import MedcotError
from medcot_pipeline.support.progress import duration

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
HEADROOM_BYTES = 0.5 * GB
"""Left free: fragmentation, cuBLAS's workspaces of the streams that steps are recorded on, recorded steps."""
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
        place_bytes: of one token's keys and values.
        reached: bytes per second that a step is taken to read; none where that is not known, or nothing is predicted of
            unpacking in every step.
        limited_by: the setting that says the most tokens of an answer, for messages.
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
    place_bytes: int
    reached: float | None
    limited_by: str

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
                f"Shorten the prompt, or lower {self.limited_by}.",
            )

    def ahead(self, waiting: Sequence[Row]) -> Ahead:
        """What is expected of requests that wait: as many at once as the cache holds at the length they have midway."""
        freely = expected_ahead([], [], waiting, self.rows)
        held = int(self.blocks * self.block_tokens / max(1.0, freely.read / max(1.0, freely.tokens)))
        return freely if held >= min(self.rows, len(waiting)) else expected_ahead([], [], waiting, max(1, held))

    def seconds(self, steps: float, read: float) -> float | None:
        """Decoding steps, which read the weights once each, and tokens of keys and values that all of them read.

        Reading from memory is what limits a step of so few rows (Pope et al. 2022).
        """
        return None if self.reached is None else (steps * self.weight_bytes + read * self.place_bytes) / self.reached

    def line(self, ahead: Ahead | None = None) -> str:
        """The plan as people read it; `ahead`: what is expected to be written, if that is known."""
        kept = "NF4, unpacked in every step" if self.keep_nf4 else "unpacked once"
        memory = "" if self.limit_bytes is None else f" within {self.limit_bytes / GB:.1f} GB"
        step = self.seconds(1, self.blocks * self.block_tokens / 2)
        speed = "" if step is None else f"; about {self.rows / step:,.0f} tokens/s at most"
        seconds = ahead and self.seconds(ahead.steps, ahead.read)
        time = "" if seconds is None else f" in about {duration(seconds)}"
        expected = "" if ahead is None else f"; {ahead.tokens:,.0f} tokens expected{time}"
        return (
            f"writing on {self.device}: weights {kept} ({self.weight_bytes / GB:.1f} GB), up to {self.rows} rows of "
            f"{self.longest:,} tokens, cache of {self.blocks * self.block_tokens:,} tokens{memory}{speed}{expected}"
        )


def plan_engine(
    shape: ModelShape,
    device: Device,
    settings: LocalEngineSettings,
    longest: int,
    *,
    lora_rank: int,
    nf4: bool,
    limited_by: str,
) -> EnginePlan:
    """Choose rows and cache within the memory, weights unpacked where that leaves room.

    Args:
        shape: the model.
        device: with the memory that may be used.
        settings: rows that a person set are kept.
        longest: tokens of the longest row, prompt and answer.
        lora_rank: of an adapter on all linear modules; 0 for none.
        nf4: whether the model is loaded packed.
        limited_by: the setting that says the most tokens of an answer.

    Raises:
        MedcotError: one row of that length does not fit.
    """
    if device.memory_gb is None:
        rows = settings.rows or CPU_ROWS
        return EnginePlan(
            device=device.name,
            keep_nf4=False,
            rows=rows,
            blocks=rows,
            block_tokens=longest + CPU_STEPS,
            longest=longest,
            prefill_tokens=0,
            steps=CPU_STEPS,
            weight_bytes=weight_bytes(shape, lora_rank, 4, packed=False),
            limit_bytes=None,
            place_bytes=place_bytes(shape, 4),
            reached=None,
            limited_by=limited_by,
        )
    limit, prefill = device.memory_gb * GB, max(PREFILL_TOKENS, longest)
    place = place_bytes(shape, 2)
    each = place * GPU_BLOCK_TOKENS
    row_blocks = -(-(longest + GPU_STEPS) // GPU_BLOCK_TOKENS)
    rows = settings.rows or GPU_ROWS
    rate = device.bandwidth
    room = weights = 0.0
    for packed, least in ((False, LEAST_ROWS if nf4 else 1), (True, 1))[: 1 + nf4]:
        weights = weight_bytes(shape, lora_rank, 2, packed=packed)
        room = limit - weights - beside_bytes(shape, rows, row_blocks * GPU_BLOCK_TOKENS, prefill)
        if room >= min(least, rows) * row_blocks * each:
            return EnginePlan(
                device=device.name,
                keep_nf4=packed,
                rows=rows,
                blocks=int(min(room // each, rows * row_blocks)),
                block_tokens=GPU_BLOCK_TOKENS,
                longest=longest,
                prefill_tokens=prefill,
                steps=GPU_STEPS,
                weight_bytes=weights,
                limit_bytes=limit,
                place_bytes=place,
                reached=None if rate is None or packed else rate * REACHED_SHARE,
                limited_by=limited_by,
            )
    shortest = limit - weights - beside_bytes(shape, rows, GPU_BLOCK_TOKENS, PREFILL_TOKENS)
    raise MedcotError(
        f"{device.name} with {device.memory_gb:.1f} GB is too small to write rows of {longest:,} tokens: "
        f"{(row_blocks * each - room) / GB:.1f} GB more are needed.",
        f"Lower {limited_by}, or give the engine more with MEDCOT_INFERENCE__MAX_GPU_MEMORY_GB."
        if shortest >= each
        else "Choose a smaller base model or a GPU with more memory.",
    )


def padded(tokens: int) -> int:
    """The width that prompts of at most so many tokens are read at on a GPU."""
    return round_up(tokens, PREFILL_MULTIPLE)


def beside_bytes(shape: ModelShape, rows: int, row_tokens: int, prefill_tokens: int) -> float:
    """Bytes that writing needs beside weights and cache: reading prompts or a step, whichever is more."""
    heads = (shape.heads + 2 * shape.key_heads) * shape.head_size
    reading = prefill_tokens * 2 * (3 * shape.feed_forward + 2 * heads + 6 * shape.hidden)
    logits = rows * shape.vocabulary * 2 * 2
    partial = rows * shape.heads * -(-row_tokens // SPLIT_TOKENS) * (shape.head_size + 2) * 4
    return max(reading, logits + partial) + CONTEXT_BYTES + HEADROOM_BYTES
