"""Training speed of the 7B shape in 24 GB: the reference recipe beside this project's batches.

    python -m benchmarks.training                      hf-padded, unsloth-padded and the project's own, on one GPU
    python -m benchmarks.training --arms own --profile  where the own arm's time goes, by kind of kernel

Every arm trains the same rows, in a process of its own, on random weights of the exact shape of
DeepSeek-R1-Distill-Qwen-7B in NF4, within the same memory limit. The padded arms are the reference recipe: 24 rows at a
time, gradient checkpointing. `hf-padded` is TRL's trainer as it is released, what one runs without this project;
`hf-rows` has the same batches from this project's plain engine. A rate counts real tokens, no padding, after the
warm-up steps.

Belongs here: running, timing, printing, the JSON file.
Does not belong here: what is measured (medcot_pipeline.training).
"""

import argparse
import dataclasses
import itertools
import json
import os
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.gpu import SHAPE, add_options, chinese_rows, make_random_model, run_arms
from medcot_pipeline.chat import encode_row
from medcot_pipeline.compute.together import ranks_here
from medcot_pipeline.models.base import BaseModel
from medcot_pipeline.models.devices import limit_gpu_memory, this_device
from medcot_pipeline.models.load import load_tokenizer, quiet
from medcot_pipeline.models.shape import ModelShape
from medcot_pipeline.settings import TrackingSettings, TrainingSettings
from medcot_pipeline.settings.load import load_settings
from medcot_pipeline.support.json_files import read_json, write_json
from medcot_pipeline.support.progress import Say
from medcot_pipeline.training.plan.choose import plan_training
from medcot_pipeline.training.plan.cost import operations_per_token
from medcot_pipeline.training.plan.training_plan import TrainingPlan, describe
from medcot_pipeline.training.rows import TrainingRow
from medcot_pipeline.training.steps.batches import dealt

AS_RELEASED = "hf-padded"
ARMS: dict[str, dict[str, Any]] = {
    AS_RELEASED: {},
    "hf-rows": {"engine": "hf", "batching": "rows", "checkpointing": "all"},
    "unsloth-padded": {"engine": "unsloth", "batching": "rows", "checkpointing": "offloaded"},
    "unsloth-tokens": {"engine": "unsloth", "batching": "tokens"},
    "hf": {"engine": "hf"},
    "own": {},
    "own-started": {},
}
DEFAULT_ARMS = ("own", "unsloth-padded", AS_RELEASED)
WARM_UP_STEPS = 3
KINDS = {
    "attention": ("flash", "fmha", "rope"),
    "NF4 dequantisation": ("dequant", "kDequantize"),
    "gated units and norms": ("_fg_kernel", "_DWf", "rms_layernorm", "swiglu"),
    "loss": ("softmax", "nll", "cross_entropy"),
    "matrix products": ("nvjet", "gemm", "cutlass", "splitK"),
}
"""Parts of kernels' names; the first kind that matches counts."""


def read_rows(path: Path, tokenizer: Any, count: int) -> list[TrainingRow]:
    """Rows of a JSON file with Question, Complex_CoT and Response, repeated until there are enough."""
    records = read_json(path)
    encoded = [encode_row(tokenizer, row["Question"], row["Complex_CoT"], row["Response"]) for row in records]
    rows = [TrainingRow.of(row) for row in encoded]
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


@dataclasses.dataclass(frozen=True)
class Timings:
    """What an arm went through.

    Attributes:
        begun: when training began; seconds of the monotonic clock.
        ends: when each optimiser step ended, likewise.
        micro_batches: real and padded tokens of every micro-batch, by step.
        losses: of each step.
    """

    begun: float
    ends: list[float]
    micro_batches: list[list[tuple[int, int]]]
    losses: list[float]


def run_arm(arm: str, model: Path, rows_file: Path, steps: int, limit_gb: float, profile: bool) -> dict[str, Any]:
    """Train one arm in this process; rates, padding, memory, warm-up."""
    started = time.monotonic()
    settings = TrainingSettings(
        **load_settings("rtx4090").training.model_dump()
        | {"max_gpu_memory_gb": limit_gb, "checkpoint_share": 1.0}
        | ARMS[arm]
    )
    from medcot_pipeline.training.engines import choose_engine

    engine = "hf" if arm == AS_RELEASED else choose_engine(settings, print)
    if engine == "unsloth":
        os.environ["UNSLOTH_DISABLE_STATISTICS"] = "1"
        import unsloth  # noqa: F401
    import torch

    quiet()
    device = this_device(settings.max_gpu_memory_gb)
    rate = matrix_rate()
    limit_gpu_memory(settings.max_gpu_memory_gb)
    per_step = settings.per_device_train_batch_size * settings.gradient_accumulation_steps
    rows = read_rows(rows_file, load_tokenizer(model), (WARM_UP_STEPS + steps) * per_step)
    shape = ModelShape.of(SHAPE)
    if arm == AS_RELEASED:
        timings, step = train_as_released(model, settings, rows)
        plan = None
    else:
        plan = plan_training(settings, engine, shape, [len(row) for row in rows], device)
        if arm == "own-started":
            plan = dataclasses.replace(plan, cuda_graph=False)
        timings, step = train_as_planned(model, settings, plan, rows)
    free, total = torch.cuda.mem_get_info()
    context = total - free - torch.cuda.memory_reserved()
    mean_length = sum(map(len, rows)) / len(rows)
    measured = speed(timings)
    operations = measured["tokens_per_second"] * operations_per_token(shape, 0, mean_length)
    return {
        "arm": arm,
        "plan": describe(plan) if plan else None,
        **measured,
        "peak_reserved_gib": round(torch.cuda.max_memory_reserved() / 2**30, 2),
        "peak_with_context_gib": round((torch.cuda.max_memory_reserved() + context) / 2**30, 2),
        "seconds_to_first_step": round(timings.ends[0] - started, 1),
        "warm_up_seconds": round(timings.ends[WARM_UP_STEPS - 1] - timings.begun, 1),
        "losses": [round(loss, 6) for loss in timings.losses],
        "matrix_tflops": round(rate / 1e12, 1),
        "share_of_matrix_rate": round(operations / rate, 3),
        "gpu": torch.cuda.get_device_name(0),
        "torch": torch.__version__,
        "profile": kernel_seconds(step) if profile else None,
    }


def speed(timings: Timings) -> dict[str, Any]:
    """Rates and padding of the steps after the warm-up."""
    seconds = [after - before for before, after in itertools.pairwise(timings.ends[WARM_UP_STEPS - 1 :])]
    timed = timings.micro_batches[WARM_UP_STEPS:]
    tokens = [sum(real for real, _ in micro_batches) for micro_batches in timed]
    padded = sum(padded for micro_batches in timed for _, padded in micro_batches)
    rates = [count / each for count, each in zip(tokens, seconds, strict=True)]
    micro_steps = sum(map(len, timed))
    return {
        "tokens_per_second": round(sum(tokens) / sum(seconds)),
        "step_rates": {"median": statistics.median(rates), "least": min(rates), "most": max(rates)},
        "optimizer_steps": len(timed),
        "micro_steps": micro_steps,
        "micro_step_seconds": round(sum(seconds) / micro_steps, 4),
        "padding_share": round(1 - sum(tokens) / padded, 4),
    }


def train_as_planned(
    model: Path, settings: TrainingSettings, plan: TrainingPlan, rows: list[TrainingRow]
) -> tuple[Timings, Callable[[], object]]:
    """Train as this project does, on every rank; what it went through, and one more optimiser step to be called."""
    import torch

    from medcot_pipeline.training.engines import trainable_model
    from medcot_pipeline.training.run import TrainingRun
    from medcot_pipeline.training.steps.feed import as_step
    from medcot_pipeline.training.trainers import make_trainer

    say: Say = partial(print, flush=True) if ranks_here().first else lambda line: None
    say("\n".join(plan.lines()))
    trainable = trainable_model(model, settings, plan)
    with tempfile.TemporaryDirectory() as folder:
        base = BaseModel(model, "random 7B", "", "path", 0, {}, [], "")
        run = TrainingRun(base, model, model, model, Path(folder), Path(folder), "")
        tracking = TrackingSettings(wandb_mode="disabled")
        trainer = make_trainer(run, settings, tracking, plan, trainable, load_tokenizer(model), rows, [], say)
        ranks_here().join()
        if torch.cuda.is_available():
            trainer.probe(rows)
        begun = time.monotonic()
        trainer.train()
    log = [entry for entry in trainer.state.log_history if "tokens_per_second" in entry]
    steps = [trainer.train_dataset[number] for number in range(len(log))]
    shares = [dealt(rows, ranks_here().size) for rows in steps]
    counts = [
        [(batch.real_tokens, batch.padded_tokens) for share in each for batch in trainer.cutting.cut(share)]
        for each in shares
    ]
    ends = [trainer.speed.started + entry["seconds"] for entry in log]
    return (
        Timings(begun, ends, counts, [entry["loss"] for entry in log]),
        lambda: trainer.training_step(trainer.model, as_step([steps[0]])),
    )


def train_as_released(
    model: Path, settings: TrainingSettings, rows: list[TrainingRow]
) -> tuple[Timings, Callable[[], object]]:
    """Train by TRL's trainer with the reference's settings and otherwise its defaults; the same is returned."""
    import torch
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import TrainerCallback
    from trl import SFTConfig, SFTTrainer

    from medcot_pipeline.models.load import load_base
    from medcot_pipeline.training.engines import LINEAR_LAYERS

    ends: list[float] = []
    counts: list[tuple[int, int]] = []

    class Clock(TrainerCallback):  # type: ignore[misc]
        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            torch.cuda.synchronize()
            ends.append(time.monotonic())

    with tempfile.TemporaryDirectory() as folder:
        trainer = SFTTrainer(
            load_base(model, training=True),
            SFTConfig(
                folder,
                per_device_train_batch_size=settings.per_device_train_batch_size,
                gradient_accumulation_steps=settings.gradient_accumulation_steps,
                learning_rate=settings.learning_rate,
                lr_scheduler_type="cosine",
                warmup_steps=settings.warmup_share,
                num_train_epochs=1,
                max_length=2048,
                logging_steps=1,
                save_strategy="no",
                report_to=[],
                disable_tqdm=True,
            ),
            train_dataset=Dataset.from_list([dataclasses.asdict(row) for row in rows]),
            processing_class=load_tokenizer(model),
            peft_config=LoraConfig(
                r=settings.lora_rank,
                lora_alpha=settings.lora_alpha,
                lora_dropout=settings.lora_dropout,
                target_modules=list(LINEAR_LAYERS),
            ),
            callbacks=[Clock()],
        )
        collate = trainer.data_collator

        def counted(batch: list[dict[str, Any]]) -> Any:
            made = collate(batch)
            counts.append((sum(len(row["input_ids"]) for row in batch), made["input_ids"].numel()))
            return made

        trainer.data_collator = counted
        begun = time.monotonic()
        trainer.train()
    each = settings.gradient_accumulation_steps
    by_step = [counts[start : start + each] for start in range(0, len(counts), each)]
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    batches = [next(iter(trainer.get_train_dataloader())) for _ in range(each)]
    return (
        Timings(begun, ends, by_step, losses),
        lambda: [trainer.training_step(trainer.model, dict(batch)) for batch in batches],
    )


def kernel_seconds(step: Callable[[], object]) -> dict[str, Any]:
    """One optimiser step under PyTorch's profiler: milliseconds by kind of kernel, and how long the GPU was idle."""
    import torch
    from torch.profiler import ProfilerActivity

    with torch.profiler.profile(activities=[ProfilerActivity.CUDA]) as profiler:
        started = time.monotonic()
        step()
        torch.cuda.synchronize()
        seconds = time.monotonic() - started
    spent: dict[str, float] = defaultdict(float)
    busy = reached = 0.0  # kernels of several streams overlap
    kernels = [event for event in profiler.events() if event.device_type.name == "CUDA"]
    for event in sorted(kernels, key=lambda event: event.time_range.start):
        kind = next((kind for kind, parts in KINDS.items() if any(part in event.name for part in parts)), "other")
        spent[kind] += event.device_time / 1e3
        busy += max(0.0, event.time_range.end - max(event.time_range.start, reached)) / 1e3
        reached = max(reached, event.time_range.end)
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
    return "\n".join([*lines, *same_learning(results)])


def same_learning(results: list[dict[str, Any]]) -> Iterator[str]:
    """How far the losses of arms that train the same rows in every step are apart from own's, one line an arm."""
    losses = {result["arm"]: result["losses"] for result in results if result["arm"] != AS_RELEASED}
    own = losses.pop("own", [])
    for arm, others in losses.items():
        if len(others) == len(own):  # of fewer steps the learning rate is another
            apart = max(abs(left - right) / left for left, right in zip(own, others, strict=True))
            yield f"\nlosses of own and {arm}: at most {apart:.1e} apart, relatively, over {len(own)} optimiser steps"


def main() -> None:
    """Run the arms one after another and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=DEFAULT_ARMS)
    parser.add_argument("--steps", type=int, default=25, help="timed optimiser steps of 48 rows")
    parser.add_argument("--padded-steps", type=int, help="the same for the padded arms (as --steps by default)")
    parser.add_argument("--profile", action="store_true", help="also profile a step of each arm")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    add_options(parser, "training")
    options = parser.parse_args()
    rows_file = chinese_rows(options.rows)
    if options.one:
        result = run_arm(
            options.arms[0], options.model, rows_file, options.steps, options.limit_gb, profile=options.profile
        )
        write_json(options.out, result)
        return
    make_random_model(options.model)
    given = {}
    for arm in options.arms:
        steps = options.padded_steps or options.steps if "padded" in arm else options.steps
        given[arm] = ["--one", "--arms", arm, "--model", str(options.model), "--rows", str(rows_file)]
        given[arm] += ["--steps", str(steps), "--limit-gb", str(options.limit_gb)] + ["--profile"] * options.profile
    results = run_arms("training", given, options.out, table)
    for result in results:
        if result["profile"]:
            print(result["arm"], json.dumps(result["profile"]))


if __name__ == "__main__":
    main()
