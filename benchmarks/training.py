"""Training speed of the 7B shape in 24 GB: the reference recipe beside this project's batches.

    python -m benchmarks.training                      hf-padded, unsloth-padded and the project's own, on one GPU
    python -m benchmarks.training --arms own --profile  where the own arm's time goes, by kind of kernel

Every arm trains the same rows in the same order, in a process of its own, on random weights of the exact shape of
DeepSeek-R1-Distill-Qwen-7B in NF4, within the same memory limit. The padded arms are the profile `rtx4090-parity`: 24
rows at a time, gradient checkpointing. A rate counts real tokens, no padding, after the warm-up steps.

Belongs here: running, timing, printing, the JSON file.
Does not: what is measured (medcot_pipeline.training).
"""

import argparse
import dataclasses
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

from medcot_pipeline.chat import encode_row
from medcot_pipeline.json_files import read_json, write_json
from medcot_pipeline.models.base import BaseModel
from medcot_pipeline.models.load import limit_gpu_memory, load_tokenizer, quiet
from medcot_pipeline.settings.load import load_settings
from medcot_pipeline.settings.models import TrackingSettings, TrainingSettings
from medcot_pipeline.training.batches import MicroBatch, Row, length, optimizer_steps
from medcot_pipeline.training.memory import ModelShape, operations_per_token
from medcot_pipeline.training.planner import describe, plan_training, this_device

SHAPE = {
    "vocab_size": 152064,
    "hidden_size": 3584,
    "intermediate_size": 18944,
    "num_hidden_layers": 28,
    "num_attention_heads": 28,
    "num_key_value_heads": 4,
    "max_position_embeddings": 131072,
    "tie_word_embeddings": False,
}
ARMS: dict[str, dict[str, Any]] = {
    "hf-padded": {"engine": "hf", "batching": "rows", "checkpointing": "all"},
    "unsloth-padded": {"engine": "unsloth", "batching": "rows", "checkpointing": "offloaded"},
    "unsloth-tokens": {"engine": "unsloth", "batching": "tokens"},
    "hf": {"engine": "hf"},
    "own": {},
    "own-started": {},
}
DEFAULT_ARMS = ("own", "unsloth-padded", "hf-padded")
WARM_UP_STEPS = 3
KINDS = {
    "attention": ("flash", "fmha", "rope"),
    "NF4 dequantisation": ("dequant", "kDequantize"),
    "gated units and norms": ("_fg_kernel", "_DWf", "rms_layernorm", "swiglu"),
    "loss": ("softmax", "nll", "cross_entropy"),
    "matrix products": ("nvjet", "gemm", "cutlass", "splitK"),
}
"""Parts of kernels' names; the first kind that matches counts."""


def make_model(folder: Path) -> None:
    """Write random weights of the exact shape, with the R1-distill tokenizer."""
    import torch
    from transformers import Qwen2Config, Qwen2ForCausalLM

    from medcot_pipeline.chat.r1_tokenizer import r1_distill_tokenizer

    tokenizer = r1_distill_tokenizer()
    config = Qwen2Config(**SHAPE, bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id)
    torch.set_default_dtype(torch.bfloat16)
    with torch.device("cuda"):
        model = Qwen2ForCausalLM(config)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def read_rows(path: Path, tokenizer: Any, count: int) -> list[Row]:
    """Rows of a JSON file with Question, Complex_CoT and Response, repeated until there are enough."""
    records = read_json(path)
    encoded = [encode_row(tokenizer, row["Question"], row["Complex_CoT"], row["Response"]) for row in records]
    rows: list[Row] = [{"input_ids": row.input_ids, "labels": row.labels} for row in encoded]
    return [rows[number % len(rows)] for number in range(count)]


def matrix_rate() -> float:
    """bfloat16 operations per second of one large product of the model's shape, after warming up."""
    import torch

    left = torch.randn(4096, SHAPE["hidden_size"], device="cuda", dtype=torch.bfloat16)
    right = torch.randn(SHAPE["hidden_size"], SHAPE["intermediate_size"], device="cuda", dtype=torch.bfloat16)
    for _ in range(10):
        left @ right
    torch.cuda.synchronize()
    started = time.monotonic()
    for _ in range(50):
        left @ right
    torch.cuda.synchronize()
    return 50 * 2 * left.numel() * SHAPE["intermediate_size"] / (time.monotonic() - started)


def run_arm(arm: str, model: Path, rows_file: Path, steps: int, limit_gb: float, profile: bool) -> dict[str, Any]:
    """Train one arm in this process; rates, padding, memory, warm-up."""
    started = time.monotonic()
    settings = TrainingSettings(
        **load_settings("rtx4090").training.model_dump()
        | {"max_gpu_memory_gb": limit_gb, "checkpoint_share": 1.0}
        | ARMS[arm]
    )
    from medcot_pipeline.training.engines import choose_engine, trainable_model

    engine = choose_engine(settings, print)
    if engine == "unsloth":
        os.environ["UNSLOTH_DISABLE_STATISTICS"] = "1"
        import unsloth  # noqa: F401
    import torch

    from medcot_pipeline.training.qlora import TrainingRun, make_trainer

    quiet()
    device = this_device(settings.max_gpu_memory_gb)
    rate = matrix_rate()
    limit_gpu_memory(settings.max_gpu_memory_gb)
    tokenizer = load_tokenizer(model)
    per_step = settings.per_device_train_batch_size * settings.gradient_accumulation_steps
    rows = read_rows(rows_file, tokenizer, (WARM_UP_STEPS + steps) * per_step)
    shape = ModelShape.of(SHAPE)
    plan = plan_training(settings, engine, shape, [length(row) for row in rows], device)
    if arm == "own-started":
        plan = dataclasses.replace(plan, cuda_graph=False)
    print(*plan.lines(), sep="\n", flush=True)
    trainable = trainable_model(model, settings, plan)
    with tempfile.TemporaryDirectory() as folder:
        base = BaseModel(model, "random 7B", "", "path", 0, {}, [], "")
        run = TrainingRun(base, model, model, model, Path(folder), Path(folder), arm)
        tracking = TrackingSettings(wandb_mode="disabled")
        trainer = make_trainer(run, settings, tracking, plan, trainable, tokenizer, rows, [], print)
        probed = trainer.probe(rows)
        begun = time.monotonic()
        trainer.train()
        profiled = kernel_seconds(trainer, trainer.train_dataset[0]) if profile else None
    log = [entry for entry in trainer.state.log_history if "tokens_per_second" in entry]
    timed = log[WARM_UP_STEPS:]
    times = [
        after["seconds"] - before["seconds"] for before, after in zip(log[WARM_UP_STEPS - 1 :], timed, strict=False)
    ]
    rates = [entry["tokens_per_second"] for entry in timed]
    mean_rate = sum(rate * seconds for rate, seconds in zip(rates, times, strict=True)) / sum(times)
    steps_made = optimizer_steps(rows, plan.rows_per_step, plan.cutting, settings.seed, 0)
    micro_steps = sum(len(batches) for batches in steps_made[WARM_UP_STEPS:])
    free, total = torch.cuda.mem_get_info()
    context = total - free - torch.cuda.memory_reserved()
    mean_length = sum(map(length, rows)) / len(rows)
    return {
        "arm": arm,
        "plan": describe(plan),
        "tokens_per_second": round(mean_rate),
        "step_rates": {"median": statistics.median(rates), "least": min(rates), "most": max(rates)},
        "optimizer_steps": len(timed),
        "micro_steps": micro_steps,
        "micro_step_seconds": round(sum(times) / micro_steps, 4),
        "padding_share": round(statistics.mean(entry["padding_share"] for entry in timed), 4),
        "peak_reserved_gib": round(torch.cuda.max_memory_reserved() / 2**30, 2),
        "peak_with_context_gib": round((torch.cuda.max_memory_reserved() + context) / 2**30, 2),
        "probed_gb": probed,
        "seconds_to_first_step": round(trainer.started - started + log[0]["seconds"], 1),
        "warm_up_seconds": round(log[WARM_UP_STEPS - 1]["seconds"] - (begun - trainer.started), 1),
        "first_loss": log[0]["loss"],
        "last_loss": log[-1]["loss"],
        "matrix_tflops": round(rate / 1e12, 1),
        "share_of_matrix_rate": round(mean_rate * operations_per_token(shape, 0, mean_length) / rate, 3),
        "gpu": torch.cuda.get_device_name(0),
        "torch": torch.__version__,
        "profile": profiled,
    }


def kernel_seconds(trainer: Any, step: list[MicroBatch]) -> dict[str, Any]:
    """One optimiser step under PyTorch's profiler: milliseconds by kind of kernel, and how long the GPU was idle."""
    import torch
    from torch.profiler import ProfilerActivity

    from medcot_pipeline.training.trainer import as_step

    with torch.profiler.profile(activities=[ProfilerActivity.CUDA]) as profiler:
        started = time.monotonic()
        trainer.training_step(trainer.model, as_step([step]))
        torch.cuda.synchronize()
        seconds = time.monotonic() - started
    spent: dict[str, float] = defaultdict(float)
    for event in profiler.events():
        if event.device_type.name == "CUDA":
            kind = next((kind for kind, parts in KINDS.items() if any(part in event.name for part in parts)), "other")
            spent[kind] += event.device_time / 1e3
    busy = sum(spent.values())
    return {kind: round(value, 1) for kind, value in sorted(spent.items(), key=lambda item: -item[1])} | {
        "idle": round(seconds * 1e3 - busy, 1)
    }


def table(results: list[dict[str, Any]]) -> str:
    """One line an arm, as Markdown."""
    lines = [
        "| arm | real tokens/s (steps' median, least to most) | micro-steps | padding | peak reserved | with context |"
        " first step after | warm-up | share of matrix rate |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for result in results:
        steps = result["step_rates"]
        lines.append(
            f"| {result['arm']} | {result['tokens_per_second']:,} ({steps['median']:,.0f}, {steps['least']:,.0f} to "
            f"{steps['most']:,.0f}) | {result['micro_steps']} of {result['micro_step_seconds']:.3f} s | "
            f"{result['padding_share']:.1%} | {result['peak_reserved_gib']:.1f} GiB | "
            f"{result['peak_with_context_gib']:.1f} GiB | {result['seconds_to_first_step']:.0f} s | "
            f"{result['warm_up_seconds']:.0f} s | {result['share_of_matrix_rate']:.0%} |"
        )
    rates = {result["arm"]: result["tokens_per_second"] for result in results}
    for other in rates:
        if "own" in rates and other != "own":
            lines.append(f"\nown / {other}: {rates['own'] / rates[other]:.2f}x")
    return "\n".join(lines)


def main() -> None:
    """Run the arms one after another and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=DEFAULT_ARMS)
    parser.add_argument("--steps", type=int, default=25, help="timed optimiser steps of 48 rows")
    parser.add_argument("--padded-steps", type=int, help="the same for the padded arms (as --steps by default)")
    parser.add_argument("--limit-gb", type=float, default=24.0, help="GPU memory, 10^9 bytes")
    parser.add_argument("--rows", type=Path, default=Path(os.environ.get("MEDCOT_REALDATA", "../shared/data")))
    parser.add_argument("--model", type=Path, default=Path(tempfile.gettempdir()) / "medcot-random-7b")
    parser.add_argument("--profile", action="store_true", help="also profile a step of each arm")
    parser.add_argument("--out", type=Path, default=Path("build/benchmarks/training.json"))
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    rows_file = options.rows / "medical_o1_zh.json" if options.rows.is_dir() else options.rows
    if options.one:
        result = run_arm(
            options.arms[0], options.model, rows_file, options.steps, options.limit_gb, profile=options.profile
        )
        write_json(options.out, result)
        return
    if not (options.model / "config.json").is_file():
        # In a process of its own, which gives the GPU's memory back.
        make = "import pathlib, sys; from benchmarks.training import make_model; make_model(pathlib.Path(sys.argv[1]))"
        subprocess.run([sys.executable, "-c", make, str(options.model)], check=True)
    results = []
    for arm in options.arms:
        part = options.out.with_name(f"training-{arm}.json")
        command = [sys.executable, "-m", "benchmarks.training", "--one", "--arms", arm, "--out", str(part)]
        steps = options.padded_steps or options.steps if "padded" in arm else options.steps
        command += ["--model", str(options.model), "--rows", str(rows_file), "--steps", str(steps)]
        command += ["--limit-gb", str(options.limit_gb)] + (["--profile"] if options.profile else [])
        # One growing pool instead of blocks of fixed sizes: micro-batches differ in width.
        environment = os.environ | {"PYTORCH_CUDA_ALLOC_CONF": "expandable_segments:True"}
        if subprocess.run(command, env=environment).returncode != 0:
            print(f"{arm}: failed", flush=True)
            continue
        results.append(read_json(part))
        write_json(options.out, results)
        print(table(results), flush=True)
    for result in results:
        if result["profile"]:
            print(result["arm"], json.dumps(result["profile"]))


if __name__ == "__main__":
    main()
