"""The trainer of a run, put together: the engine's class, its arguments, its callbacks, its rows.

Belongs here: what transformers and TRL are asked for.
Does not belong here: the model (engines.py), what a step does (steps/trainer.py).
"""

import dataclasses
from typing import Any

from medcot_pipeline.compute.together import ranks_here
from medcot_pipeline.models.devices import device
from medcot_pipeline.settings import TrackingSettings, TrainingSettings
from medcot_pipeline.support.progress import Progress, Say
from medcot_pipeline.training.engines import start_adapter
from medcot_pipeline.training.outcome.tracking import start_tracking
from medcot_pipeline.training.plan.training_plan import TrainingPlan
from medcot_pipeline.training.rows import TrainingRow
from medcot_pipeline.training.run import TrainingRun


def make_trainer(
    run: TrainingRun,
    settings: TrainingSettings,
    tracking: TrackingSettings,
    plan: TrainingPlan,
    model: Any,
    tokenizer: Any,
    rows: list[TrainingRow],
    validation: list[TrainingRow],
    say: Say,
) -> Any:
    """The trainer of a run, ready to probe and to train."""
    from datasets import Dataset
    from transformers.trainer_callback import PrinterCallback

    from medcot_pipeline.training.steps.feed import as_step

    trainer = _engine_trainer(
        plan,
        model,
        _arguments(run, settings, plan, validation=bool(validation)),
        # TRL wants data sets; `follow` puts the steps in their place.
        train_dataset=Dataset.from_list([dataclasses.asdict(rows[0])]),
        eval_dataset=Dataset.from_list([dataclasses.asdict(validation[0])]) if validation else None,
        processing_class=tokenizer,
        data_collator=as_step,
        callbacks=_callbacks(run, settings, tracking, say),
    )
    start_adapter(trainer.model, settings.seed)
    trainer.remove_callback(PrinterCallback)
    trainer.follow(plan, rows, validation, tokenizer.pad_token_id, say)
    return trainer


def _arguments(run: TrainingRun, settings: TrainingSettings, plan: TrainingPlan, *, validation: bool) -> dict[str, Any]:
    """Of transformers' `TrainingArguments`; `validation`: whether there are rows to validate on."""
    gpu = device() == "cuda"
    between = settings.checkpoint_steps or max(1, round(plan.steps * settings.checkpoint_share))
    return {
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
        "load_best_model_at_end": validation,
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


def _callbacks(run: TrainingRun, settings: TrainingSettings, tracking: TrackingSettings, say: Say) -> list[Any]:
    from transformers import EarlyStoppingCallback

    from medcot_pipeline.training.steps.callbacks import MarkCheckpoints, ReportProgress, TrackRun

    first = ranks_here().first
    marks = MarkCheckpoints(run.fingerprint, writes=first)
    callbacks: list[Any] = [ReportProgress(Progress("training", say)), marks]
    config = settings.model_dump(mode="json")
    tracked = start_tracking(tracking, run.wandb, run.fingerprint[:12], config, say) if first else None
    if tracked:
        callbacks.append(TrackRun(tracked))
    if settings.early_stopping_checkpoints:
        callbacks.append(EarlyStoppingCallback(settings.early_stopping_checkpoints))
    return callbacks


def _engine_trainer(plan: TrainingPlan, model: Any, arguments: dict[str, Any], **parts: Any) -> Any:
    """The engine's trainer, with this project's optimiser steps.

    Plain models are trained by TRL's, which prepares NF4 models with adapters and can keep checkpointed inputs in the
    host's memory. Unsloth's models do both by themselves, and its copy of TRL's trainer would change how batches are
    made.

    Args:
        plan: the plan.
        model: of `trainable_model`.
        arguments: of transformers' `TrainingArguments`.
        parts: `train_dataset`, `processing_class`, `callbacks`, `data_collator`.
    """
    from medcot_pipeline.training.steps.trainer import MicroBatchSteps

    if plan.engine == "unsloth":
        from transformers import Trainer, TrainingArguments

        return type("UnslothQLoRATrainer", (MicroBatchSteps, Trainer), {})(
            model=model, args=TrainingArguments(**arguments), **parts
        )
    from trl import SFTConfig, SFTTrainer

    config = SFTConfig(
        **arguments,
        max_length=None,
        packing=False,
        loss_type="nll",
        dataset_kwargs={"skip_prepare_dataset": True},
        activation_offloading=plan.checkpointing == "offloaded",
    )
    trainer = type("QLoRATrainer", (MicroBatchSteps, SFTTrainer), {})(model=model, args=config, **parts)
    # TRL makes the adapter bfloat16, in which small updates are lost, and a checkpoint comes back as float32: a resumed
    # run would go on with other numbers than an uninterrupted one. Under autocast float32 keeps no more for the
    # backward pass than bfloat16 does, but a bfloat16 copy of the adapter itself, 40 MB for the 7B.
    for weight in trainer.model.parameters():
        if weight.requires_grad:
            weight.data = weight.data.float()
    return trainer
