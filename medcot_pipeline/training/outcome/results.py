"""What a run leaves: the adapter's files, and the curves of what was logged.

Belongs here: writing them, so that two runs of one fingerprint write the same.
Does not belong here: the run (training/qlora.py), the card's wording (model_card.py).
"""

import json
import math
from collections.abc import Mapping
from typing import Any

from medcot_pipeline.support.errors import MedcotError
from medcot_pipeline.support.json_files import write_json
from medcot_pipeline.training.outcome.model_card import model_card
from medcot_pipeline.training.run import TrainingRun

CURVES = "curves.json"
SUMMARY = "aside/training.json"
"""Not part of what identifies an adapter: it has times in it."""
LOGGED = ("loss", "learning_rate", "grad_norm", "epoch")
MEASURED = ("seconds", "tokens_per_second", "padding_share", "gpu_memory_gb")


def save_adapter(
    run: TrainingRun, trainer: Any, tokenizer: Any, curves: Mapping[str, Any], summary: Mapping[str, Any]
) -> None:
    """Write the adapter with its tokenizer, curves, summary and model card into `run.out`."""
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
