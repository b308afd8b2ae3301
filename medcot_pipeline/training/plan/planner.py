"""The plan of a training run: how large micro-batches are, what is computed again, what it will take.

Belongs here: choosing within a GPU's memory, predicting peak and duration, saying so.
Does not: the estimates themselves (memory.py), cutting rows (training/steps/batches.py).
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

from medcot_pipeline.settings import TrainingSettings
from medcot_pipeline.support.errors import MedcotError
from medcot_pipeline.support.progress import duration
from medcot_pipeline.training.plan.memory import (
    GB,
    Checkpointing,
    Engine,
    ModelShape,
    bytes_per_token,
    fixed_bytes,
    operations_per_token,
)
from medcot_pipeline.training.steps.batches import Batching, Cutting, Row, few_widths, length, step_rows

MATRIX_RATES = {"H200": 800e12, "H100": 800e12, "A100": 312e12, "L40S": 362e12, "4090": 165e12, "3090": 71e12}
"""bfloat16 operations per second of a dense matrix product, by part of a GPU's name."""
REACHED_SHARE = {"unsloth": 0.53, "hf": 0.41}
"""Share of that rate which training reaches, by engine, measured on an H100 that reaches 800 Tflop/s."""
HOST_SECONDS_PER_LAYER = {"unsloth": 0.0078, "hf": 0.0103}
"""What starting one layer's kernels costs the host, forward and backward: the floor of a micro-batch's time."""
HEADROOM_BYTES = 1.2 * GB
"""Left free within the limit: fragmentation, validation, and what the estimate misses."""
GRAPH_BYTES = 0.4 * GB
"""What recorded micro-batches take beside the one that recorded them: 0.3 GB were measured, for one and for six."""
GRAPH_SHARE = 0.5
"""Micro-batches are recorded where the host's time to start them is at least this share of the GPU's."""
BUDGET_MULTIPLE = 64
MOST_TOKENS = 16_384
"""Beyond this, larger micro-batches are no faster."""
CPU_TOKENS = 4096
SAMPLED_STEPS = 16
"""Optimiser steps that are cut to learn how much padding and how many micro-batches a run has."""
ASSUMED_GPU = "NVIDIA GeForce RTX 4090"
ASSUMED_GPU_GB = 24.0


@dataclasses.dataclass(frozen=True)
class Device:
    """What trains: `name`, memory that may be used in GB (none on a CPU), and whether it has the varlen kernel."""

    name: str
    memory_gb: float | None
    varlen_kernel: bool

    @property
    def matrix_rate(self) -> float | None:
        """bfloat16 operations per second, where the name is known."""
        return next((rate for part, rate in MATRIX_RATES.items() if part in self.name), None)


@dataclasses.dataclass(frozen=True)
class TrainingPlan:
    """What was chosen, and what it should take.

    Attributes:
        engine: `hf` or `unsloth`.
        device: the GPU's name, or `CPU`.
        batching: how an optimiser step's rows are cut.
        rows_per_step: rows of an optimiser step.
        rows_per_micro_batch: for batching by rows.
        token_budget: most padded tokens of a micro-batch, for the others.
        widths: of packed lines, tokens; a step takes one of them.
        checkpointing: what the backward pass computes again.
        checkpointed_layers: in how many layers.
        cuda_graph: whether one micro-batch is recorded and replayed.
        steps: optimiser steps of the run.
        tokens: of all rows and epochs, without padding.
        longest_row: tokens.
        memory_limit_gb: what the run may use; none on a CPU.
        predicted_memory_gb: at the peak; none on a CPU.
        predicted_seconds: of training, without loading; none where the device's speed is not known.
    """

    engine: Engine
    device: str
    batching: Batching
    rows_per_step: int
    rows_per_micro_batch: int
    token_budget: int
    widths: tuple[int, ...]
    checkpointing: Checkpointing
    checkpointed_layers: int
    cuda_graph: bool
    steps: int
    tokens: int
    longest_row: int
    memory_limit_gb: float | None
    predicted_memory_gb: float | None
    predicted_seconds: float | None

    @property
    def cutting(self) -> Cutting:
        """How rows are cut."""
        return Cutting(self.batching, self.rows_per_micro_batch, self.token_budget, self.widths)

    def lines(self) -> list[str]:
        """The plan as people read it."""
        how = {
            "rows": f"{self.rows_per_micro_batch} rows",
            "tokens": f"rows of like length, at most {self.token_budget:,} padded tokens",
            "packed": f"packed rows, up to {self.token_budget:,} tokens each{', replayed' if self.cuda_graph else ''}",
        }[self.batching]
        again = {
            "none": "nothing is computed twice",
            "some": f"{self.checkpointed_layers} layers are computed twice",
            "all": "every layer is computed twice",
            "offloaded": "every layer is computed twice, from inputs kept in the host's memory",
        }[self.checkpointing]
        memory = (
            ""
            if self.predicted_memory_gb is None
            else f"; peak {self.predicted_memory_gb:.1f} of {self.memory_limit_gb:.1f} GB"
        )
        time = "" if self.predicted_seconds is None else f"; about {duration(self.predicted_seconds)}"
        return [
            f"{self.engine} on {self.device}: {self.steps:,} optimiser steps of {self.rows_per_step} rows, "
            f"{self.tokens:,} tokens",
            f"micro-batches of {how}; {again}{memory}{time}",
        ]


def plan_training(
    settings: TrainingSettings,
    engine: Engine,
    shape: ModelShape,
    lengths: Sequence[int],
    device: Device,
) -> TrainingPlan:
    """Choose batching, token budget and checkpointing.

    Where both are left to it, the fastest predicted combination that holds the longest row is taken: without
    checkpointing where that fits, since computing layers again costs more than small micro-batches.

    Args:
        settings: hyper-parameters; what they set is kept.
        engine: whose memory and speed.
        shape: the base model.
        lengths: tokens of the training rows.
        device: the GPU or the CPU.

    Raises:
        MedcotError: the longest row does not fit the memory; says how much is missing and which setting would fit.
    """
    longest, tokens = max(lengths), round(sum(lengths) * settings.epochs)
    batching = settings.batching
    if batching == "auto":
        batching = "packed" if device.varlen_kernel else "tokens"
    per_micro_batch = settings.per_device_train_batch_size
    per_step = per_micro_batch * settings.gradient_accumulation_steps
    steps = max(1, round(-(-len(lengths) // per_step) * settings.epochs))
    mean = sum(lengths) / len(lengths)

    graph = engine == "unsloth" and batching == "packed" and _starting_is_slow(shape, device, mean)
    sample = _sampled_steps(lengths, per_step)

    def cutting(budget: int) -> Cutting:
        widths = few_widths(sample, budget) if batching == "packed" else ()
        return Cutting(batching, per_micro_batch, budget, widths)

    def plan(kind: Checkpointing, layers: int, cut: Cutting, peak: float | None, seconds: float | None) -> TrainingPlan:
        return TrainingPlan(
            engine=engine,
            device=device.name,
            batching=batching,
            rows_per_step=per_step,
            rows_per_micro_batch=per_micro_batch,
            token_budget=cut.token_budget,
            widths=cut.widths,
            checkpointing=kind,
            checkpointed_layers=layers,
            cuda_graph=graph,
            steps=steps,
            tokens=tokens,
            longest_row=longest,
            memory_limit_gb=None if device.memory_gb is None else round(device.memory_gb, 1),
            predicted_memory_gb=peak,
            predicted_seconds=None if seconds is None else round(seconds, 1),
        )

    if device.memory_gb is None:
        kind: Checkpointing = "none" if settings.checkpointing == "auto" else settings.checkpointing
        if kind == "offloaded":
            kind = "all"  # everything is in the host's memory already
        layers = shape.layers if kind != "none" else 0
        return plan(kind, layers, cutting(settings.micro_batch_tokens or max(CPU_TOKENS, longest)), None, None)

    room = device.memory_gb * GB - HEADROOM_BYTES - fixed_bytes(shape, settings.lora_rank) - graph * GRAPH_BYTES
    least = per_micro_batch * longest if batching == "rows" else longest
    step_tokens = round(mean * per_step) if batching != "rows" else least
    options = []
    for kind, layers in _kinds(settings, shape, engine):
        each = bytes_per_token(shape, engine, kind, layers)
        budget = _budget(room / each, least, step_tokens, settings.micro_batch_tokens)
        if budget * each <= room or settings.micro_batch_tokens:
            peak = (fixed_bytes(shape, settings.lora_rank) + budget * each) / GB
            cut = cutting(budget)
            seconds = _seconds(shape, engine, layers, cut, device, sample)
            whole = None if seconds is None else seconds * tokens / sum(length(row) for rows in sample for row in rows)
            options.append((whole or 0.0, layers, plan(kind, layers, cut, round(peak, 1), whole)))
    if not options:
        raise MedcotError(_too_small(settings, shape, engine, device, least, room), _what_would_fit(batching))
    return min(options, key=lambda option: option[:2])[2]


def _kinds(settings: TrainingSettings, shape: ModelShape, engine: Engine) -> list[tuple[Checkpointing, int]]:
    """What may be computed again: kind and number of layers."""
    some: list[tuple[Checkpointing, int]] = [
        ("some", layers) for layers in range(shape.layers // 4, shape.layers, max(1, shape.layers // 4))
    ]
    kinds: dict[str, list[tuple[Checkpointing, int]]] = {
        "none": [("none", 0)],
        "some": some if engine == "hf" else [],  # Unsloth checkpoints every layer or none
        "all": [("all", shape.layers)],
        "offloaded": [("offloaded", shape.layers)],
    }
    if settings.checkpointing == "some" and engine == "unsloth":
        raise MedcotError(
            "MEDCOT_TRAINING__CHECKPOINTING=some, but Unsloth computes every layer twice or none.",
            "Set it to none, all or offloaded, or set MEDCOT_TRAINING__ENGINE=hf.",
        )
    if settings.checkpointing != "auto":
        return kinds[settings.checkpointing]
    return [option for options in kinds.values() for option in options]


def _budget(fits: float, least: int, step_tokens: int, wanted: int | None) -> int:
    """Tokens of a micro-batch: what fits, in round numbers, but no more than a step holds or helps."""
    if wanted:
        return max(wanted, least)
    rounded = int(min(fits, MOST_TOKENS, max(step_tokens, least)) // BUDGET_MULTIPLE * BUDGET_MULTIPLE)
    return max(rounded, least)


def _starting_is_slow(shape: ModelShape, device: Device, mean: float) -> bool:
    """Whether the host needs a good part of the GPU's time for a micro-batch of 4,096 tokens to start its kernels."""
    if device.matrix_rate is None:
        return False
    work = 4096 * operations_per_token(shape, 0, mean) / (device.matrix_rate * REACHED_SHARE["unsloth"])
    return HOST_SECONDS_PER_LAYER["unsloth"] * shape.layers >= GRAPH_SHARE * work


def _sampled_steps(lengths: Sequence[int], rows_per_step: int) -> list[list[Row]]:
    """The first optimiser steps of a run over the first rows, which all others are taken to be like."""
    sample = lengths[: SAMPLED_STEPS * rows_per_step]
    return step_rows([{"input_ids": [0] * tokens, "labels": []} for tokens in sample], rows_per_step, 0, 0)


def _seconds(
    shape: ModelShape, engine: Engine, layers: int, cutting: Cutting, device: Device, steps: Sequence[list[Row]]
) -> float | None:
    """Time of these steps: a micro-batch takes what its operations take, or the host's time to start them if longer."""
    if device.matrix_rate is None:
        return None
    sizes = [length(row) for rows in steps for row in rows]
    rate = device.matrix_rate * REACHED_SHARE[engine]
    each = operations_per_token(shape, layers, sum(sizes) / len(sizes)) / rate
    host = HOST_SECONDS_PER_LAYER[engine] * (shape.layers + layers / 3)
    return sum(max(batch.padded_tokens * each, host) for rows in steps for batch in cutting.cut(rows))


def _too_small(
    settings: TrainingSettings, shape: ModelShape, engine: Engine, device: Device, least: int, room: float
) -> str:
    needs = min(
        least * bytes_per_token(shape, engine, kind, layers) for kind, layers in _kinds(settings, shape, engine)
    )
    return (
        f"{device.name} with {device.memory_gb:.1f} GB is too small: a micro-batch of {least:,} tokens lacks "
        f"{(needs - room) / GB:.1f} GB"
    )


def _what_would_fit(batching: Batching) -> str:
    if batching == "rows":
        return "Lower MEDCOT_TRAINING__PER_DEVICE_TRAIN_BATCH_SIZE, or set MEDCOT_TRAINING__BATCHING=auto."
    return "Set MEDCOT_TRAINING__CHECKPOINTING=offloaded, or lower MEDCOT_TRAINING__MAX_ROW_TOKENS."


def this_device(max_gpu_memory_gb: float | None) -> Device:
    """The GPU of this machine with what is free of it (or the limit, if less), or its CPU."""
    import torch

    from medcot_pipeline.training.steps.attention import has_varlen_kernel

    if not torch.cuda.is_available():
        return Device(f"CPU, {torch.get_num_threads()} threads", None, varlen_kernel=False)
    free, _ = torch.cuda.mem_get_info()
    memory = min(free / GB, max_gpu_memory_gb or float("inf"))
    return Device(torch.cuda.get_device_name(0), memory, has_varlen_kernel())


def assumed_device(max_gpu_memory_gb: float | None) -> Device:
    """The GPU that a plan without one is made for."""
    return Device(ASSUMED_GPU, max_gpu_memory_gb or ASSUMED_GPU_GB, varlen_kernel=True)


def describe(plan: TrainingPlan) -> dict[str, Any]:
    """The plan as JSON."""
    return dataclasses.asdict(plan)
