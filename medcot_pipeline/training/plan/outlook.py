"""What `medcot plan` says about the training run, on a machine that may have no GPU.

Belongs here: what is known of rows, base and device without loading a model.
Does not belong here: the plan itself (choose.py), which the training process makes again from what it finds.
"""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from medcot_pipeline.compute.gpus import gpu_is_here, gpus_to_use, visible_gpus
from medcot_pipeline.models.base import base_folder
from medcot_pipeline.models.devices import Device, planned_device
from medcot_pipeline.models.shape import ModelShape, base_shape
from medcot_pipeline.pipeline.plan import PlanLine
from medcot_pipeline.pipeline.workspace import Workspace
from medcot_pipeline.settings import Settings, TrainingSettings
from medcot_pipeline.support.errors import MedcotError
from medcot_pipeline.training.plan.choose import plan_training
from medcot_pipeline.training.plan.training_plan import Engine, TrainingPlan
from medcot_pipeline.training.rows import in_order_of_choice, within


def training_lines(workspace: Workspace, lines: Mapping[str, PlanLine]) -> list[str]:
    """What the training run will take, for the rows and the base that the settings ask for: lines for people.

    What is current counts only where it is what the settings ask for, and not of another profile. A base that is not
    there yet has a known shape, or a folder that says it; rows that are not there yet are planned for at their longest.
    """
    settings = workspace.settings
    sft, shape = as_wanted(workspace, lines["sft_dataset"]), wanted_shape(workspace, lines["base_model"])
    if shape is None:
        lacking = [name for name, there in (("sft_dataset", sft), ("base_model", shape)) if there is None]
        return [f"not planned yet: needs {' and '.join(lacking)}"]
    try:
        plan = forecast_training(settings, sft / "rows.parquet" if sft else None, shape, gpu_here=gpu_is_here())
    except MedcotError as error:
        return [str(error)]
    if plan is None:
        return ["no row is short enough"]
    return plan.lines() if sft else _lines_without_rows(plan, lines["sft_dataset"])


def wanted_shape(workspace: Workspace, line: PlanLine) -> ModelShape | None:
    """The shape of the base model that is wanted, as far as it is known; `line`: its line of the plan."""
    base = as_wanted(workspace, line)
    return base_shape(workspace.settings.base_model, base_folder(base) if base else _own_folder(workspace))


def as_wanted(workspace: Workspace, line: PlanLine) -> Path | None:
    """The folder of an artifact that is as the settings want it, whether it is current or not."""
    if line.wanted is None or workspace.store.find(line.asset, line.wanted) is None:
        return None
    return workspace.store.folder(line.asset, line.wanted)


def _own_folder(workspace: Workspace) -> Path | None:
    """The base model's folder where the settings name one."""
    settings = workspace.settings.base_model
    return workspace.root / settings.path if settings.kind == "path" and settings.path else None


def _lines_without_rows(plan: TrainingPlan, sft: PlanLine) -> list[str]:
    return [
        f"{plan.engine} on {plan.device}: {plan.rows_per_step} rows in an optimiser step; how many rows there will "
        f"be is not known yet (sft_dataset: {sft.status})",
        f"for rows of {plan.longest_row:,} tokens, the longest allowed: "
        f"{dataclasses.replace(plan, predicted_seconds=None).lines()[-1]}",
    ]


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
        MedcotError: the GPU is too small, or there are fewer than are asked for.
    """
    training = settings.training
    lengths = (
        [_longest(settings)] * (training.per_device_train_batch_size * training.gradient_accumulation_steps)
        if sft_rows is None
        else _lengths(settings, sft_rows)
    )
    if not lengths:
        return None
    device = planned_device(training.max_gpu_memory_gb, gpu_here=gpu_here)
    return plan_training(
        training, _engine(training, device), shape, lengths, device, _ranks(settings, device, gpu_here)
    )


def _ranks(settings: Settings, device: Device, gpu_here: bool) -> int:
    """How many GPUs are to train; on a machine without one, as many as are asked for of the GPU that is assumed."""
    asked = settings.compute.gpus
    if gpu_here or device.memory_gb is None:
        return gpus_to_use(asked, len(visible_gpus()))
    return 1 if asked == "auto" else asked


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


def _engine(training: TrainingSettings, device: Device) -> Engine:
    """The engine that is set; `auto` is Unsloth on a GPU, where the training process also looks if it is installed."""
    if training.engine != "auto":
        return training.engine
    return "hf" if device.memory_gb is None else "unsloth"
