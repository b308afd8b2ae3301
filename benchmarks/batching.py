"""Whether the way rows are cut changes what is learned: arms that differ in batching alone, several seeds each.

    python -m benchmarks.batching

Every arm trains the same rows for the same number of optimiser steps in the profile `tiny` on the CPU, over the rows
and the base that `MEDCOT_PROFILE=tiny medcot sync` made. The arms' mean validation losses are compared with the spread
that the seed alone makes.

Belongs here: running, the table, the JSON file.
Does not belong here: speed (training.py).
"""

import argparse
import dataclasses
import itertools
import statistics
import tempfile
from pathlib import Path
from typing import Any

from medcot_pipeline.artifacts import FileHashes
from medcot_pipeline.models.base import open_base_model
from medcot_pipeline.settings import TrackingSettings, TrainingSettings, load_settings
from medcot_pipeline.support.json_files import write_json
from medcot_pipeline.table import open_workspace
from medcot_pipeline.training.qlora import train
from medcot_pipeline.training.run import TrainingRun

ARMS = ("rows", "tokens", "packed")
ROWS_PER_STEP = {"per_device_train_batch_size": 2, "gradient_accumulation_steps": 2}


def final_loss(run: TrainingRun, batching: str, seed: int, train_tokens: int) -> dict[str, Any]:
    """Train one arm with one seed; rows, steps, first training loss and last validation loss (nats per label)."""
    changes = {"batching": batching, "micro_batch_tokens": 1024, "max_train_tokens": train_tokens}
    settings = TrainingSettings(
        **load_settings("tiny").training.model_dump() | ROWS_PER_STEP | changes | {"seed": seed, "validation_rows": 16}
    )
    summary = train(run, settings, 2048, TrackingSettings(wandb_mode="disabled"), print)
    curves = summary["curves"]
    return {
        "batching": batching,
        "seed": seed,
        "rows": summary["rows"],
        "optimizer_steps": summary["optimizer_steps"],
        "first_loss": curves["loss"][0][1],
        "validation_loss": curves["validation"][-1][1],
    }


def table(results: list[dict[str, Any]]) -> str:
    """One line an arm, and whether every two arms are nearer than the seeds of one."""
    lines = [
        "| batching | rows | steps | first loss | validation loss, by seed | mean | spread |",
        "|---|---|---|---|---|---|---|",
    ]
    means, spreads = {}, {}
    for batching in ARMS:
        own = [each for each in results if each["batching"] == batching]
        losses = [each["validation_loss"] for each in own]
        means[batching], spreads[batching] = statistics.mean(losses), max(losses) - min(losses)
        shown = ", ".join(f"{loss:.3f}" for loss in losses)
        lines.append(
            f"| {batching} | {own[0]['rows']} | {own[0]['optimizer_steps']} | {own[0]['first_loss']:.3f} | {shown} | "
            f"{means[batching]:.3f} | {spreads[batching]:.3f} |"
        )
    lines.append("")
    for left, right in itertools.combinations(ARMS, 2):
        apart, spread = abs(means[left] - means[right]), max(spreads[left], spreads[right])
        verdict = "within" if apart <= spread else "OUTSIDE"
        lines.append(f"{left} and {right}: {apart:.4f} apart, {verdict} the spread of the seeds ({spread:.4f})")
    return "\n".join(lines)


def main() -> None:
    """Train every arm with every seed and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3])
    parser.add_argument("--train-tokens", type=int, default=16_000)
    parser.add_argument("--out", type=Path, default=Path("build/benchmarks/batching.json"))
    options = parser.parse_args()
    current = open_workspace("tiny").store.root / "current"
    results = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run = TrainingRun(
            base=open_base_model((current / "base_model").resolve(), FileHashes(folder / "hashes.sqlite")),
            sft=current / "sft_dataset" / "rows.parquet",
            splits=current / "corpus_splits" / "rows.parquet",
            out=folder,
            work=folder,
            wandb=folder,
            fingerprint="benchmark",
        )
        for batching, seed in itertools.product(ARMS, options.seeds):
            own = folder / f"{batching}-{seed}"
            arm = dataclasses.replace(run, out=own / "out", work=own / "work")
            results.append(final_loss(arm, batching, seed, options.train_tokens))
            write_json(options.out, results)
    print(table(results))


if __name__ == "__main__":
    main()
