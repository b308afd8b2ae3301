"""The QLoRA run: rows, plan, model, training with checkpoints, and the files of the adapter.

On several GPUs every rank goes through it in step; the first one decides, writes and speaks.

Belongs here: the order of a run, resuming, its summary.
Does not belong here: rows (rows.py), the plan (plan/), the model (engines.py), its trainer (trainers.py), a step
(steps/), files (outcome/results.py).
"""

import dataclasses
import os
import time
from pathlib import Path
from typing import Any

from medcot_pipeline.artifacts.manifest import package_versions
from medcot_pipeline.compute.together import Ranks, ranks_here
from medcot_pipeline.models.devices import Device, device, fix_threads, least_of, limit_gpu_memory, this_device
from medcot_pipeline.models.load import load_tokenizer, quiet
from medcot_pipeline.models.shape import ModelShape
from medcot_pipeline.settings import TrackingSettings, TrainingSettings
from medcot_pipeline.support.progress import Say
from medcot_pipeline.training.checkpoints import newest_whole
from medcot_pipeline.training.engines import choose_engine, trainable_model
from medcot_pipeline.training.outcome.energy import EnergyMeter
from medcot_pipeline.training.outcome.results import MEASURED, logged_curves, save_adapter
from medcot_pipeline.training.plan.choose import plan_training
from medcot_pipeline.training.plan.frozen import FrozenPlan
from medcot_pipeline.training.plan.training_plan import Engine, TrainingPlan, describe, plan_of
from medcot_pipeline.training.rows import ChosenRows, training_rows, validation_rows
from medcot_pipeline.training.run import TrainingRun
from medcot_pipeline.training.trainers import make_trainer


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
        MedcotError: no row fits, a row is too long and that is to fail, the GPU is too small or of another kind than
            others, the loss is not a number, or a checkpoint is another run's.
    """
    started = time.monotonic()
    ranks = ranks_here()
    engine = choose_engine(settings, say)
    _prepare_process(run, settings, engine, ranks)
    tokenizer = load_tokenizer(run.base.folder)
    limit = min(max_row_tokens, settings.max_row_tokens or max_row_tokens)
    chosen = training_rows(tokenizer, run.sft, settings, limit)
    validation = validation_rows(tokenizer, run.splits, settings, limit)
    say(
        f"{len(chosen.rows):,} rows, {chosen.tokens:,} tokens to train on; {chosen.too_long:,} too long, "
        f"{chosen.over_budget:,} over the token budget; {len(validation):,} validation rows"
    )
    checkpoint, plan = _begin(run, settings, engine, chosen, ranks, say)
    for line in plan.lines():
        say(line)
    model = trainable_model(run.base.folder, settings, plan)
    trainer = make_trainer(run, settings, tracking, plan, model, tokenizer, chosen.rows, validation, say)
    if checkpoint:
        say(f"resuming from {checkpoint.name}")
    ranks.join()
    probed = trainer.probe(chosen.rows) if device() == "cuda" else None
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
        "rows": len(chosen.rows),
        "tokens": chosen.tokens,
        "rows_too_long": chosen.too_long,
        "rows_over_budget": chosen.over_budget,
        "validation_rows": len(validation),
        "optimizer_steps": trainer.state.global_step,
        "best_checkpoint_step": _best_step(trainer),
        "probed_memory_gb": max(ranks.gathered("probed memory", probed), key=lambda each: each or 0.0),
        "final_token_budget": trainer.cutting.token_budget,
        "resumed_from": checkpoint.name if checkpoint else None,
        "seconds": {"load": round(loaded - started, 2), "train": round(time.monotonic() - loaded, 2)},
        "energy_kwh": _sum_of_known(ranks.gathered("energy", meter.kwh())),
        "environment": package_versions(),
        "curves": curves | logged_curves(trainer.state.log_history, MEASURED),
    }
    if ranks.first:
        save_adapter(run, trainer, tokenizer, curves, summary)
    return summary


def _prepare_process(run: TrainingRun, settings: TrainingSettings, engine: Engine, ranks: Ranks) -> None:
    """Load the engine before what it patches, and fix threads, memory and seed of this process."""
    if engine == "unsloth":
        compiled = "unsloth_compiled" if ranks.first else f"unsloth_compiled_{ranks.rank}"  # it knows of no other rank
        os.environ.setdefault("UNSLOTH_COMPILE_LOCATION", str(run.work / compiled))
        os.environ.setdefault("UNSLOTH_DISABLE_STATISTICS", "1")
        import unsloth  # noqa: F401 - it patches trl and transformers, and so must come first
    from transformers import set_seed

    quiet()
    fix_threads()
    limit_gpu_memory(settings.max_gpu_memory_gb)
    set_seed(settings.seed)


def _begin(
    run: TrainingRun, settings: TrainingSettings, engine: Engine, chosen: ChosenRows, ranks: Ranks, say: Say
) -> tuple[Path | None, TrainingPlan]:
    """The checkpoint to resume from, and the plan, which hold for all ranks."""
    own = this_device(settings.max_gpu_memory_gb)
    here = least_of([Device(**each) for each in ranks.gathered("device", dataclasses.asdict(own))])

    def decide() -> dict[str, Any]:
        checkpoint = newest_whole(run.work, run.fingerprint, say)
        plan = _plan(run, settings, engine, chosen, here, ranks.size, checkpoint, say)
        return {"checkpoint": checkpoint.name if checkpoint else None, "plan": describe(plan)}

    decided = ranks.decided("checkpoint and plan", decide)
    name = decided["checkpoint"]
    return run.work / name if name else None, plan_of(decided["plan"])


def _plan(
    run: TrainingRun,
    settings: TrainingSettings,
    engine: Engine,
    chosen: ChosenRows,
    here: Device,
    ranks: int,
    checkpoint: Path | None,
    say: Say,
) -> TrainingPlan:
    """The plan that the run began with where it is resumed and that still holds, else a new one, which is kept."""
    frozen = FrozenPlan.of(settings, engine, here)
    kept = frozen.read(run.work, say) if checkpoint else None
    if kept is not None:
        return kept.on_ranks(ranks)
    shape = ModelShape.of_folder(run.base.folder)
    plan = plan_training(settings, engine, shape, [len(row) for row in chosen.rows], here, ranks)
    frozen.write(run.work, plan)
    return plan


def _sum_of_known(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return round(sum(known), 5) if len(known) == len(values) else None


def _best_step(trainer: Any) -> int | None:
    best = trainer.state.best_model_checkpoint
    return int(best.rsplit("-", 1)[1]) if best else None
