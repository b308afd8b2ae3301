"""The plan of a training run before it starts, on a machine that may have no GPU.

Belongs here: what is known of rows, base and device without loading a model.
Does not: the plan itself (planner.py), which the training process makes again from what it finds.
"""

import contextlib
from pathlib import Path
from typing import Any

from medcot_pipeline.settings import Settings, TrainingSettings
from medcot_pipeline.support.json_files import read_json
from medcot_pipeline.training.plan.memory import KNOWN_SHAPES, Engine, ModelShape
from medcot_pipeline.training.plan.planner import Device, TrainingPlan, assumed_device, plan_training, this_device
from medcot_pipeline.training.rows import in_order_of_choice, within


def forecast_training(
    settings: Settings, sft_rows: Path | None, shape: ModelShape, *, gpu_here: bool
) -> TrainingPlan | None:
    """The plan for the rows of an SFT data set; none where no row is short enough.

    Without a GPU here, a profile that sets `max_gpu_memory_gb` is planned for an RTX 4090, any other for a CPU. Lengths
    are those of the R1-distill tokenizer: with another base the training process will count a little differently.

    Args:
        settings: of the profile.
        sft_rows: `rows.parquet` of the SFT data set (row_id, tokens). None where it is not there yet: the plan is that
            of one optimiser step whose rows are as long as may be.
        shape: of the base model.
        gpu_here: whether this machine has a GPU.

    Raises:
        MedcotError: the GPU is too small.
    """
    training = settings.training
    lengths = (
        [_longest(settings)] * (training.per_device_train_batch_size * training.gradient_accumulation_steps)
        if sft_rows is None
        else _lengths(settings, sft_rows)
    )
    if not lengths:
        return None
    device = _device(training, gpu_here=gpu_here)
    return plan_training(training, _engine(training, device), shape, lengths, device)


def base_shape(settings: Settings, base: Path | None) -> ModelShape | None:
    """The base model's shape: from its folder, else by its name at the hub; none where neither is known."""
    if base is not None:
        with contextlib.suppress(OSError, ValueError, TypeError, KeyError):  # whoever loads it says what is wrong
            return ModelShape.of(read_json(base / "config.json"))
    return KNOWN_SHAPES.get(settings.base_model.repository) if settings.base_model.kind == "hub" else None


def _longest(settings: Settings) -> int:
    """Tokens of the longest row that is trained on."""
    return min(settings.sft.max_tokens, settings.training.max_row_tokens or settings.sft.max_tokens)


def _lengths(settings: Settings, sft_rows: Path) -> list[int]:
    from medcot_pipeline.support.table_files import read_parquet

    training, limit = settings.training, _longest(settings)
    records = read_parquet(sft_rows, columns=["row_id", "tokens"]).to_dicts()
    ranked: list[dict[str, Any]] = in_order_of_choice(records, training.seed)
    lengths: list[int] = [record["tokens"] for record in ranked if record["tokens"] <= limit]
    return [lengths[number] for number in within(lengths, training.max_train_tokens)]


def _device(training: TrainingSettings, *, gpu_here: bool) -> Device:
    if gpu_here:
        return this_device(training.max_gpu_memory_gb)
    if training.max_gpu_memory_gb is not None:
        return assumed_device(training.max_gpu_memory_gb)
    return Device("CPU", None, varlen_kernel=False)


def _engine(training: TrainingSettings, device: Device) -> Engine:
    """The engine that is set; `auto` is Unsloth on a GPU, where the training process also looks if it is installed."""
    if training.engine != "auto":
        return training.engine
    return "hf" if device.memory_gb is None else "unsloth"
