"""The QLoRA run: TRL's trainer over encoded rows, checkpoints, and the files of the adapter.

Belongs here: the trainer's arguments, resuming, what is saved.
Does not: rows (rows.py), the model (engines.py), pictures of the curves (reporting/).
"""

import dataclasses
import json
import math
import os
import time
from pathlib import Path
from typing import Any

import polars as pl

from medcot_pipeline.chat import EncodedRow
from medcot_pipeline.errors import MedcotError
from medcot_pipeline.json_files import write_json
from medcot_pipeline.models.base import BaseModel
from medcot_pipeline.models.load import device, limit_gpu_memory, load_tokenizer, quiet
from medcot_pipeline.progress import Progress, Say
from medcot_pipeline.settings import TrackingSettings, TrainingSettings
from medcot_pipeline.training.engines import choose_engine, trainable_model
from medcot_pipeline.training.rows import TrainingRows, choose_rows

CURVES = "curves.json"
SUMMARY = "training.json"
TIMINGS = "aside/timings.json"


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
        name: the run's name there.
    """

    base: BaseModel
    sft: Path
    splits: Path
    out: Path
    work: Path
    wandb: Path
    name: str


def train(
    run: TrainingRun, settings: TrainingSettings, max_row_tokens: int, tracking: TrackingSettings, say: Say
) -> dict[str, Any]:
    """Train an adapter and write it with its tokenizer, curves, summary and model card into `run.out`.

    Args:
        run: folders and base model.
        settings: hyper-parameters.
        max_row_tokens: rows longer than this many tokens are left out and counted.
        tracking: Weights & Biases; offline needs neither account nor network.
        say: where progress goes.

    Returns:
        The summary, as written to `training.json`.

    Raises:
        MedcotError: no row fits, or the loss is not a number.
    """
    started = time.monotonic()
    engine = choose_engine(settings, say)
    if engine == "unsloth":
        import unsloth  # noqa: F401 - it patches trl and transformers, and so must come first
    from transformers import set_seed
    from transformers.trainer_utils import get_last_checkpoint

    quiet()
    limit_gpu_memory(settings.max_gpu_memory_gb)
    set_seed(settings.seed)
    tokenizer = load_tokenizer(run.base.folder)
    rows, validation = _rows(run, settings, tokenizer, max_row_tokens)
    say(
        f"{len(rows.rows):,} rows, {rows.tokens:,} tokens to train on; {rows.too_long:,} too long, "
        f"{rows.over_budget:,} over the token budget; {len(validation.rows):,} validation rows"
    )
    model = trainable_model(engine, run.base.folder, settings, max_row_tokens)
    trainer = _trainer(run, settings, tracking, model, tokenizer, rows, validation, say)
    checkpoint = get_last_checkpoint(run.work) if run.work.is_dir() else None
    if checkpoint:
        say(f"resuming from {Path(checkpoint).name}")
    loaded = time.monotonic()
    trainer.train(resume_from_checkpoint=checkpoint)
    summary = {
        "base": {"name": run.base.name, "revision": run.base.revision, "parameters": run.base.parameters},
        "engine": engine,
        "device": _device_name(),
        "adapter_parameters": sum(weight.numel() for weight in model.parameters() if weight.requires_grad),
        "rows": len(rows.rows),
        "tokens": rows.tokens,
        "rows_too_long": rows.too_long,
        "rows_over_budget": rows.over_budget,
        "validation_rows": len(validation.rows),
        "optimizer_steps": trainer.state.global_step,
        "best_checkpoint_step": _best_step(trainer),
    }
    _save(run, trainer, tokenizer, summary)
    seconds = {"load": loaded - started, "train": time.monotonic() - loaded}
    write_json(run.out / TIMINGS, {**{name: round(value, 2) for name, value in seconds.items()}})
    return summary


def _rows(
    run: TrainingRun, settings: TrainingSettings, tokenizer: Any, max_row_tokens: int
) -> tuple[TrainingRows, TrainingRows]:
    limit = min(max_row_tokens, settings.max_row_tokens or max_row_tokens)
    rows = choose_rows(
        tokenizer,
        pl.read_parquet(run.sft),
        max_row_tokens=limit,
        max_tokens=settings.max_train_tokens,
        seed=settings.seed,
    )
    if not rows.rows:
        raise MedcotError(
            f"No training row has at most {limit:,} tokens ({rows.too_long:,} are longer).",
            "Raise MEDCOT_TRAINING__MAX_ROW_TOKENS or MEDCOT_SFT__MAX_TOKENS.",
        )
    held_out = pl.read_parquet(run.splits).filter(pl.col("split") == "validation")
    validation = choose_rows(tokenizer, held_out, max_row_tokens=limit, max_tokens=None, seed=settings.seed)
    few = dataclasses.replace(validation, rows=validation.rows[: settings.validation_rows])
    return rows, few


def _trainer(
    run: TrainingRun,
    settings: TrainingSettings,
    tracking: TrackingSettings,
    model: Any,
    tokenizer: Any,
    rows: TrainingRows,
    validation: TrainingRows,
    say: Say,
) -> Any:
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    from medcot_pipeline.training.callbacks import ReportProgress

    for name, value in {
        "WANDB_MODE": tracking.wandb_mode,
        "WANDB_PROJECT": tracking.wandb_project,
        "WANDB_DIR": str(run.wandb),
        "WANDB_SILENT": "true",
    }.items():
        os.environ.setdefault(name, value)
    run.wandb.mkdir(parents=True, exist_ok=True)
    gpu = device() == "cuda"
    with_validation = bool(validation.rows)
    arguments = SFTConfig(
        output_dir=str(run.work),
        run_name=run.name,
        num_train_epochs=settings.epochs,
        per_device_train_batch_size=settings.per_device_train_batch_size,
        per_device_eval_batch_size=settings.per_device_train_batch_size,
        gradient_accumulation_steps=settings.gradient_accumulation_steps,
        learning_rate=settings.learning_rate,
        lr_scheduler_type=settings.schedule,
        warmup_steps=settings.warmup_share,
        max_grad_norm=settings.max_grad_norm,
        optim="adamw_torch",
        bf16=gpu,
        use_cpu=not gpu,
        gradient_checkpointing=settings.gradient_checkpointing,
        gradient_checkpointing_kwargs={"use_reentrant": False},
        max_length=None,
        packing=False,
        train_sampling_strategy="group_by_length" if settings.group_by_length else "random",
        eval_strategy="steps" if with_validation else "no",
        eval_steps=settings.checkpoint_share,
        save_strategy="steps",
        save_steps=settings.checkpoint_share,
        save_total_limit=2,
        load_best_model_at_end=with_validation,
        metric_for_best_model="eval_loss",
        greater_is_better=False,
        logging_steps=1,
        disable_tqdm=True,
        report_to=[] if tracking.wandb_mode == "disabled" else ["wandb"],
        dataloader_pin_memory=gpu,
        seed=settings.seed,
        data_seed=settings.seed,
    )
    trainer = SFTTrainer(
        model=model,
        args=arguments,
        train_dataset=Dataset.from_list(_examples(rows.rows)),
        eval_dataset=Dataset.from_list(_examples(validation.rows)) if with_validation else None,
        processing_class=tokenizer,
        callbacks=[ReportProgress(Progress("training", say))],
    )
    from transformers.trainer_callback import PrinterCallback

    trainer.remove_callback(PrinterCallback)
    return trainer


def _examples(rows: list[EncodedRow]) -> list[dict[str, list[int]]]:
    return [{"input_ids": row.input_ids, "labels": row.labels} for row in rows]


def _best_step(trainer: Any) -> int | None:
    best = trainer.state.best_model_checkpoint
    return int(best.rsplit("-", 1)[1]) if best else None


def _save(run: TrainingRun, trainer: Any, tokenizer: Any, summary: dict[str, Any]) -> None:
    adapter = trainer.model.peft_config["default"]
    adapter.base_model_name_or_path = run.base.name
    adapter.revision = run.base.revision if run.base.kind == "hub" else None
    trainer.model.save_pretrained(run.out, safe_serialization=True)
    tokenizer.save_pretrained(run.out)
    config = json.loads((run.out / "adapter_config.json").read_text(encoding="utf-8"))
    config["target_modules"] = sorted(config["target_modules"])  # saved from a set, whose order changes between runs
    write_json(run.out / "adapter_config.json", config)
    write_json(run.out / CURVES, curves(trainer.state.log_history))
    write_json(run.out / SUMMARY, summary)
    (run.out / "README.md").write_text(_model_card(summary), encoding="utf-8")


def curves(log_history: list[dict[str, Any]]) -> dict[str, list[list[float]]]:
    """Curves of a run as [step, value] pairs: loss, learning_rate, grad_norm, epoch, validation (loss).

    Raises:
        MedcotError: a loss is not a number.
    """
    result: dict[str, list[list[float]]] = {
        name: [] for name in ("loss", "learning_rate", "grad_norm", "epoch", "validation")
    }
    for entry in log_history:
        step = entry["step"]
        if not math.isfinite(entry.get("loss", 0.0)):
            raise MedcotError(f"The loss at step {step} is not a number.", "Lower MEDCOT_TRAINING__LEARNING_RATE.")
        if "loss" in entry:
            for name in ("loss", "learning_rate", "grad_norm", "epoch"):
                result[name].append([step, round(float(entry[name]), 8)])
        if "eval_loss" in entry:
            result["validation"].append([step, round(float(entry["eval_loss"]), 6)])
    return result


def _device_name() -> str:
    import torch

    return torch.cuda.get_device_name(0) if device() == "cuda" else f"CPU, {torch.get_num_threads()} threads"


def _model_card(summary: dict[str, Any]) -> str:
    base = summary["base"]
    return (
        "---\nlibrary_name: peft\nlicense: other\ntags: [medical, reasoning, qlora]\n---\n\n"
        f"# QLoRA adapter for {base['name']}\n\n"
        f"Base: {base['name']}, revision {base['revision']}, loaded in NF4 with double quantisation. "
        f"Trained on {summary['rows']:,} rows ({summary['tokens']:,} tokens) in {summary['optimizer_steps']:,} "
        f"optimiser steps by the engine {summary['engine']}; {summary['adapter_parameters']:,} parameters.\n\n"
        "The prompt is the tokenizer's own generation prompt; the output is "
        "`<think>`, reasoning, `</think>`, answer.\n\n"
        "Research software. Not for clinical use: its answers are not medical advice and were not clinically "
        "validated. The training data's reasoning was written by a language model and is largely unreviewed.\n"
    )
