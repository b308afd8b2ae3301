"""The QLoRA run: rows, plan, model, training with checkpoints, and the files of the adapter.

Belongs here: the order of a run, the trainer's arguments, resuming, what is saved.
Does not: rows (rows.py), the plan (training/plan/planner.py), the model (engines.py), a step
(training/steps/trainer.py).
"""

import dataclasses
import json
import math
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from medcot_pipeline.artifacts.manifest import package_versions
from medcot_pipeline.models.base import BaseModel
from medcot_pipeline.models.load import device, fix_threads, limit_gpu_memory, load_tokenizer, quiet
from medcot_pipeline.settings import TrackingSettings, TrainingSettings
from medcot_pipeline.support.errors import MedcotError
from medcot_pipeline.support.json_files import read_json, write_json
from medcot_pipeline.support.progress import Progress, Say
from medcot_pipeline.training.checkpoints import newest_whole
from medcot_pipeline.training.energy import EnergyMeter
from medcot_pipeline.training.engines import choose_engine, start_adapter, trainable_model, trainer_for
from medcot_pipeline.training.model_card import model_card
from medcot_pipeline.training.plan.frozen import FrozenPlan
from medcot_pipeline.training.plan.memory import ModelShape
from medcot_pipeline.training.plan.planner import TrainingPlan, describe, plan_training, this_device
from medcot_pipeline.training.rows import TrainingRows, choose_rows
from medcot_pipeline.training.steps.batches import Row, length
from medcot_pipeline.training.tracking import start_tracking

CURVES = "curves.json"
SUMMARY = "aside/training.json"
"""Not part of what identifies an adapter: it has times in it."""
LOGGED = ("loss", "learning_rate", "grad_norm", "epoch")
MEASURED = ("seconds", "tokens_per_second", "padding_share", "gpu_memory_gb")


@dataclasses.dataclass(frozen=True)
class TrainingRun:
    """Where a run reads, works and writes.

    Attributes:
        base: the base model.
        sft: `rows.parquet` of the SFT data set (row_id, question, reasoning, answer).
        splits: `rows.parquet` of the splits, for the validation rows.
        out: folder of the adapter.
        work: folder of the checkpoints, of this fingerprint alone; it outlives a killed run.
        wandb: folder of Weights & Biases.
        fingerprint: of the adapter; checkpoints of another are refused.
    """

    base: BaseModel
    sft: Path
    splits: Path
    out: Path
    work: Path
    wandb: Path
    fingerprint: str


def train(
    run: TrainingRun, settings: TrainingSettings, max_row_tokens: int, tracking: TrackingSettings, say: Say
) -> dict[str, Any]:
    """Train an adapter and write it with its tokenizer, curves, summary and model card into `run.out`.

    Args:
        run: folders and base model.
        settings: hyper-parameters.
        max_row_tokens: longest row of the data set, tokens.
        tracking: Weights & Biases; offline needs neither account nor network.
        say: where progress goes.

    Returns:
        The summary, as written to `training.json`.

    Raises:
        MedcotError: no row fits, a row is too long and that is to fail, the GPU is too small, the loss is not a
            number, or a checkpoint is another run's.
    """
    started = time.monotonic()
    engine = choose_engine(settings, say)
    if engine == "unsloth":
        os.environ.setdefault("UNSLOTH_COMPILE_LOCATION", str(run.work / "unsloth_compiled"))
        os.environ.setdefault("UNSLOTH_DISABLE_STATISTICS", "1")
        import unsloth  # noqa: F401 - it patches trl and transformers, and so must come first
    from transformers import set_seed

    quiet()
    fix_threads()
    limit_gpu_memory(settings.max_gpu_memory_gb)
    set_seed(settings.seed)
    tokenizer = load_tokenizer(run.base.folder)
    chosen, held_out = _rows(run, settings, tokenizer, max_row_tokens)
    rows, validation = as_rows(chosen), as_rows(held_out)
    say(
        f"{len(rows):,} rows, {chosen.tokens:,} tokens to train on; {chosen.too_long:,} too long, "
        f"{chosen.over_budget:,} over the token budget; {len(validation):,} validation rows"
    )
    checkpoint = newest_whole(run.work, run.fingerprint, say)
    shape = ModelShape.of(read_json(run.base.folder / "config.json"))
    here = this_device(settings.max_gpu_memory_gb)
    frozen = FrozenPlan.of(settings, engine, here)
    plan = frozen.read(run.work, say) if checkpoint else None
    if plan is None:
        plan = plan_training(settings, engine, shape, [length(row) for row in rows], here)
        frozen.write(run.work, plan)
    for line in plan.lines():
        say(line)
    model = trainable_model(run.base.folder, settings, plan)
    trainer = make_trainer(run, settings, tracking, plan, model, tokenizer, rows, validation, say)
    if checkpoint:
        say(f"resuming from {checkpoint.name}")
    probed = trainer.probe(rows) if device() == "cuda" else None
    loaded = time.monotonic()
    meter = EnergyMeter()
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    curves = logged_curves(trainer.state.log_history)
    summary = {
        "base": {"name": run.base.name, "revision": run.base.revision, "parameters": run.base.parameters},
        "settings": settings.model_dump(mode="json"),
        "plan": describe(plan),
        "engine": engine,
        "device": plan.device,
        "adapter_parameters": sum(weight.numel() for weight in model.parameters() if weight.requires_grad),
        "rows": len(rows),
        "tokens": chosen.tokens,
        "rows_too_long": chosen.too_long,
        "rows_over_budget": chosen.over_budget,
        "validation_rows": len(validation),
        "optimizer_steps": trainer.state.global_step,
        "best_checkpoint_step": _best_step(trainer),
        "probed_memory_gb": probed,
        "final_token_budget": trainer.cutting.token_budget,
        "resumed_from": checkpoint.name if checkpoint else None,
        "seconds": {"load": round(loaded - started, 2), "train": round(time.monotonic() - loaded, 2)},
        "energy_kwh": meter.kwh(),
        "environment": package_versions(),
        "curves": curves | logged_curves(trainer.state.log_history, MEASURED),
    }
    _save(run, trainer, tokenizer, curves, summary)
    return summary


def as_rows(chosen: TrainingRows) -> list[Row]:
    """Encoded rows as ids and labels."""
    return [{"input_ids": row.input_ids, "labels": row.labels} for row in chosen.rows]


def _rows(
    run: TrainingRun, settings: TrainingSettings, tokenizer: Any, max_row_tokens: int
) -> tuple[TrainingRows, TrainingRows]:
    import polars as pl

    from medcot_pipeline.support.table_files import read_parquet

    limit = min(max_row_tokens, settings.max_row_tokens or max_row_tokens)
    rows = choose_rows(
        tokenizer,
        read_parquet(run.sft),
        max_row_tokens=limit,
        max_tokens=settings.max_train_tokens,
        seed=settings.seed,
    )
    if not rows.rows:
        raise MedcotError(
            f"No training row has at most {limit:,} tokens ({rows.too_long:,} are longer).",
            "Raise MEDCOT_TRAINING__MAX_ROW_TOKENS or MEDCOT_SFT__MAX_TOKENS.",
        )
    if rows.too_long and settings.too_long == "fail":
        raise MedcotError(
            f"{rows.too_long:,} training rows have more than {limit:,} tokens.",
            "Raise MEDCOT_TRAINING__MAX_ROW_TOKENS, or leave them out with MEDCOT_TRAINING__TOO_LONG=drop.",
        )
    held_out = read_parquet(run.splits).filter(pl.col("split") == "validation")
    validation = choose_rows(tokenizer, held_out, max_row_tokens=limit, max_tokens=None, seed=settings.seed)
    few = dataclasses.replace(validation, rows=validation.rows[: settings.validation_rows])
    return rows, few


def make_trainer(
    run: TrainingRun,
    settings: TrainingSettings,
    tracking: TrackingSettings,
    plan: TrainingPlan,
    model: Any,
    tokenizer: Any,
    rows: list[Row],
    validation: list[Row],
    say: Say,
) -> Any:
    """The trainer of a run, ready to probe and to train."""
    from datasets import Dataset
    from transformers import EarlyStoppingCallback
    from transformers.trainer_callback import PrinterCallback

    from medcot_pipeline.training.steps.trainer import MarkCheckpoints, ReportProgress, TrackRun, as_step

    tracking_run = start_tracking(tracking, run.wandb, run.fingerprint[:12], settings.model_dump(mode="json"), say)
    gpu = device() == "cuda"
    between = settings.checkpoint_steps or max(1, round(plan.steps * settings.checkpoint_share))
    arguments = {
        "output_dir": str(run.work),
        "run_name": run.fingerprint[:12],
        "num_train_epochs": settings.epochs,
        # One item is one optimiser step, a list of micro-batches.
        "per_device_train_batch_size": 1,
        "gradient_accumulation_steps": 1,
        "learning_rate": settings.learning_rate,
        "lr_scheduler_type": settings.schedule,
        "warmup_steps": settings.warmup_share,
        "max_grad_norm": settings.max_grad_norm,
        "optim": "adamw_torch_fused" if gpu else "adamw_torch",
        "bf16": gpu,
        "use_cpu": not gpu,
        "gradient_checkpointing": False,  # the engine's model has it already, in the layers that are planned
        "remove_unused_columns": False,
        "eval_strategy": "steps" if validation else "no",
        "eval_steps": between,
        "save_strategy": "steps",
        "save_steps": between,
        "save_total_limit": 3,
        "load_best_model_at_end": bool(validation),
        "metric_for_best_model": "eval_loss",
        "greater_is_better": False,
        "logging_steps": 1,
        "logging_nan_inf_filter": False,
        "disable_tqdm": True,
        "report_to": [],  # see TrackRun
        "dataloader_pin_memory": False,
        "seed": settings.seed,
        "data_seed": settings.seed,
    }
    callbacks: list[Any] = [ReportProgress(Progress("training", say)), MarkCheckpoints(run.fingerprint)]
    if tracking_run:
        callbacks.append(TrackRun(tracking_run))
    if settings.early_stopping_checkpoints:
        callbacks.append(EarlyStoppingCallback(settings.early_stopping_checkpoints))
    trainer = trainer_for(
        plan,
        model,
        arguments,
        train_dataset=Dataset.from_list(rows[:1]),  # TRL wants one; `follow` puts the steps in its place
        eval_dataset=Dataset.from_list(validation[:1]) if validation else None,
        processing_class=tokenizer,
        data_collator=as_step,
        callbacks=callbacks,
    )
    start_adapter(trainer.model, settings.seed)
    trainer.remove_callback(PrinterCallback)
    trainer.follow(plan, rows, validation, tokenizer.pad_token_id, say)
    return trainer


def _best_step(trainer: Any) -> int | None:
    best = trainer.state.best_model_checkpoint
    return int(best.rsplit("-", 1)[1]) if best else None


def _save(
    run: TrainingRun, trainer: Any, tokenizer: Any, curves: Mapping[str, Any], summary: Mapping[str, Any]
) -> None:
    adapter = trainer.model.peft_config["default"]
    adapter.base_model_name_or_path = run.base.name
    adapter.revision = run.base.revision if run.base.kind == "hub" else None
    trainer.model.save_pretrained(run.out, safe_serialization=True)
    tokenizer.save_pretrained(run.out)
    config = json.loads((run.out / "adapter_config.json").read_text(encoding="utf-8"))
    config["target_modules"] = sorted(config["target_modules"])  # saved from a set, whose order changes between runs
    write_json(run.out / "adapter_config.json", config)
    write_json(run.out / CURVES, curves)
    write_json(run.out / SUMMARY, summary)
    (run.out / "README.md").write_text(model_card(summary), encoding="utf-8")


def logged_curves(log_history: list[dict[str, Any]], names: tuple[str, ...] = LOGGED) -> dict[str, list[list[float]]]:
    """Curves of a run as [step, value] pairs: the named ones, and the validation loss.

    Raises:
        MedcotError: a loss is not a number.
    """
    result: dict[str, list[list[float]]] = {name: [] for name in (*names, "validation")}
    for entry in log_history:
        step = entry["step"]
        if not math.isfinite(entry.get("loss", 0.0)):
            raise MedcotError(f"The loss at step {step} is not a number.", "Lower MEDCOT_TRAINING__LEARNING_RATE.")
        for name in names:
            if "loss" in entry and name in entry:
                result[name].append([step, round(float(entry[name]), 8)])
        if "eval_loss" in entry:
            result["validation"].append([step, round(float(entry["eval_loss"]), 6)])
    return result
