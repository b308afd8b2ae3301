"""Choosing how a training run is cut: every way that fits is asked for its cost, and the fastest is taken.

Belongs here: the ways there are, token budgets, what is said where none fits.
Does not belong here: what is to be cut (demand.py), what a way costs (cost.py), cutting rows
(training/steps/batches.py).
"""

import dataclasses
from collections.abc import Iterator, Sequence

from medcot_pipeline.models.devices import GB, Device
from medcot_pipeline.models.shape import ModelShape
from medcot_pipeline.settings import TrainingSettings
from medcot_pipeline.support.errors import MedcotError
from medcot_pipeline.training.plan.cost import CostModel, Recomputed
from medcot_pipeline.training.plan.demand import Demand, rows_per_step
from medcot_pipeline.training.plan.training_plan import Checkpointing, Engine, TrainingPlan
from medcot_pipeline.training.steps.batches import Cutting

BUDGET_MULTIPLE = 64
MOST_TOKENS = 16_384
"""Beyond this, larger micro-batches are no faster."""
CPU_TOKENS = 4096


@dataclasses.dataclass(frozen=True)
class _Way:
    """One way to cut a run's steps, and what it costs: GB at the peak, seconds of the run, where they are known."""

    recomputed: Recomputed
    cutting: Cutting
    peak_gb: float | None = None
    seconds: float | None = None


def plan_training(
    settings: TrainingSettings,
    engine: Engine,
    shape: ModelShape,
    lengths: Sequence[int],
    device: Device,
    ranks: int = 1,
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
        ranks: processes that train together, each on a device like this one.

    Raises:
        MedcotError: the longest row does not fit the memory; says how much is missing and which setting would fit.
    """
    cost = CostModel(shape, engine, device, settings.lora_rank, ranks)
    demand = Demand.of(settings, lengths, device, ranks)
    graph = engine == "unsloth" and demand.batching == "packed" and cost.waits_for_host(demand.mean)
    if device.memory_gb is None:
        best = _way_on_cpu(demand, shape)
    else:
        ways = _ways_on_gpu(demand, cost, cost.token_room(graph=graph))
        best = min(ways, key=lambda way: (way.seconds or 0.0, way.recomputed.layers))
    return TrainingPlan(
        engine=engine,
        device=device.name,
        batching=demand.batching,
        rows_per_step=rows_per_step(settings),
        rows_per_micro_batch=settings.per_device_train_batch_size,
        token_budget=best.cutting.token_budget,
        widths=best.cutting.widths,
        checkpointing=best.recomputed.kind,
        checkpointed_layers=best.recomputed.layers,
        cuda_graph=graph,
        steps=demand.steps,
        tokens=demand.tokens,
        longest_row=demand.longest,
        memory_limit_gb=None if device.memory_gb is None else round(device.memory_gb, 1),
        predicted_memory_gb=None if best.peak_gb is None else round(best.peak_gb, 1),
        predicted_seconds=None if best.seconds is None else round(best.seconds, 1),
        ranks=ranks,
    )


def _way_on_cpu(demand: Demand, shape: ModelShape) -> _Way:
    """A CPU has no memory to plan, and its speed is not known."""
    settings = demand.settings
    kind: Checkpointing = "none" if settings.checkpointing == "auto" else settings.checkpointing
    if kind == "offloaded":
        kind = "all"  # everything is in the host's memory already
    budget = settings.micro_batch_tokens or max(CPU_TOKENS, demand.longest)
    return _Way(Recomputed(kind, shape.layers if kind != "none" else 0), demand.cutting(budget))


def _ways_on_gpu(demand: Demand, cost: CostModel, room: float) -> list[_Way]:
    """Every way within `room` bytes for tokens; one by a budget that a person set is taken to fit.

    Raises:
        MedcotError: there is none.
    """
    kinds = list(_kinds(demand.settings, cost.shape, cost.engine))
    ways = []
    for recomputed in kinds:
        each = cost.bytes_per_token(recomputed)
        budget = _budget(demand, room / each)
        if budget * each <= room or demand.settings.micro_batch_tokens:
            cutting, peak = demand.cutting(budget), cost.peak_gb(recomputed, budget)
            ways.append(_Way(recomputed, cutting, peak, _run_seconds(demand, cost, recomputed, cutting)))
    if not ways:
        needed = min(demand.least_tokens * cost.bytes_per_token(recomputed) for recomputed in kinds)
        raise _too_small(demand, cost.device, needed - room)
    return ways


def _kinds(settings: TrainingSettings, shape: ModelShape, engine: Engine) -> Iterator[Recomputed]:
    """What may be computed again.

    Raises:
        MedcotError: the engine cannot do what is set.
    """
    wanted = settings.checkpointing
    if wanted == "some" and engine == "unsloth":
        raise MedcotError(
            "MEDCOT_TRAINING__CHECKPOINTING=some, but Unsloth recomputes every layer or none.",
            "Set it to none, all or offloaded, or set MEDCOT_TRAINING__ENGINE=hf.",
        )
    if wanted in ("none", "auto"):
        yield Recomputed("none", 0)
    if wanted in ("some", "auto") and engine == "hf":  # Unsloth checkpoints every layer or none
        quarter = shape.layers // 4
        yield from (Recomputed("some", layers) for layers in range(quarter, shape.layers, max(1, quarter)))
    if wanted in ("all", "auto"):
        yield Recomputed("all", shape.layers)
    if wanted in ("offloaded", "auto"):
        yield Recomputed("offloaded", shape.layers)


def _budget(demand: Demand, fits: float) -> int:
    """Tokens of a micro-batch: what fits, in round numbers, but no more than a rank gets of a step or helps."""
    settings, least = demand.settings, demand.least_tokens
    if settings.micro_batch_tokens:
        return max(settings.micro_batch_tokens, least)
    step_tokens = least if demand.batching == "rows" else demand.share_tokens
    rounded = int(min(fits, MOST_TOKENS, max(step_tokens, least)) // BUDGET_MULTIPLE * BUDGET_MULTIPLE)
    return max(rounded, least)


def _run_seconds(demand: Demand, cost: CostModel, recomputed: Recomputed, cutting: Cutting) -> float | None:
    """Time of the whole run, by that of the sampled steps."""
    seconds = cost.seconds(recomputed, cutting, demand.sample)
    return None if seconds is None else seconds * demand.tokens / demand.sampled_tokens


def _too_small(demand: Demand, device: Device, lacking: float) -> MedcotError:
    return MedcotError(
        f"{device.name} with {device.memory_gb:.1f} GB is too small: a micro-batch of {demand.least_tokens:,} tokens "
        f"needs {lacking / GB:.1f} GB more.",
        "Lower MEDCOT_TRAINING__PER_DEVICE_TRAIN_BATCH_SIZE, or set MEDCOT_TRAINING__BATCHING=auto."
        if demand.batching == "rows"
        else "Set MEDCOT_TRAINING__CHECKPOINTING=offloaded, or lower MEDCOT_TRAINING__MAX_ROW_TOKENS.",
    )
