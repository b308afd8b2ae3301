"""The adapter.

Belongs here: the stage that trains it.
Does not belong here: the training itself (qlora.py).
"""

import statistics
from collections.abc import Mapping
from typing import Any

from medcot_pipeline.artifacts import FileLink, Markdown
from medcot_pipeline.pipeline.run import Run
from medcot_pipeline.pipeline.stage import Stage
from medcot_pipeline.support import charts
from medcot_pipeline.training import checks
from medcot_pipeline.training.job import TrainAdapter, train
from medcot_pipeline.training.plan.training_plan import plan_of

CURVE_LABELS = {"loss": "nats per token", "learning_rate": "learning rate", "grad_norm": "norm", "epoch": "epoch"}


def qlora_adapter(run: Run) -> None:
    """The QLoRA adapter: trained on the SFT data set over the base model in NF4 (4 bits), with tokenizer and curves."""
    settings = run.settings
    data = run.place.data
    arguments = TrainAdapter(
        settings=settings.training,
        tracking=settings.tracking,
        max_row_tokens=settings.sft.max_tokens,
        base_model=run.input("base_model"),
        hashes=run.place.store.hashes.memory,
        sft=run.input("sft_dataset") / "rows.parquet",
        splits=run.input("corpus_splits") / "rows.parquet",
        out=run.path,
        work=run.work,
        wandb=data / "wandb",
        fingerprint=run.identity.fingerprint,
    )
    summary = run.job(train, arguments, run.settings.compute.gpus)
    draw_curves(run, summary["curves"])
    names = ("rows", "tokens", "rows_too_long", "rows_over_budget", "optimizer_steps", "engine", "device")
    run.describe(
        **{name: summary[name] for name in names},
        plan=Markdown("\n\n".join(plan_of(summary["plan"]).lines())),
        adapter_parameters=summary["adapter_parameters"],
        **training_numbers(summary),
        best_checkpoint_step=summary["best_checkpoint_step"] or "last",
        adapter=FileLink("adapter_model.safetensors"),
        training=FileLink("aside/training.json"),
        model_card=FileLink("README.md"),
    )


def training_numbers(summary: Mapping[str, Any]) -> dict[str, float | None]:
    """What people compare between trainings; None where it was not measured.

    Args:
        summary: of the run, as in `aside/training.json`.

    Returns:
        `final_loss`, `validation_loss`: nats per token; `tokens_per_second`: median of those logged; `train_seconds`:
        of the run, with those before it was resumed; `energy_kwh`; `gpu_memory_gb`: the most that was reserved.
    """
    curves = {name: [value for _, value in points] for name, points in summary["curves"].items()}
    return {
        "final_loss": curves["loss"][-1],
        "validation_loss": curves["validation"][-1] if curves["validation"] else None,
        "tokens_per_second": statistics.median(curves["tokens_per_second"]) if curves["tokens_per_second"] else None,
        "train_seconds": curves["seconds"][-1] if curves["seconds"] else None,
        "energy_kwh": summary["energy_kwh"],
        "gpu_memory_gb": max(curves["gpu_memory_gb"], default=None),
    }


def draw_curves(run: Run, curves: dict[str, list[list[float]]]) -> None:
    """The five charts of a training run."""
    for name, label in CURVE_LABELS.items():
        series = {name: curves[name]} | ({"validation": curves["validation"]} if name == "loss" else {})
        charts.line_chart(run.picture(f"train_{name}"), f"train/{name}", series, y_label=label)
    steps = [[seconds / 60, step] for step, seconds in curves["seconds"]]
    charts.line_chart(
        run.picture("train_global_step"), "train/global_step", {"step": steps}, x_label="minutes", y_label="step"
    )


STAGES = (
    Stage(
        "qlora_adapter",
        group="training",
        kinds=("pytorch", "huggingface"),
        code_version="4",
        make=qlora_adapter,
        checks=checks.ADAPTER,
        inputs=("sft_dataset", "corpus_splits", "base_model"),
        settings=("training", "sft.max_tokens"),
        loads_model=True,
    ),
)
