"""How much faster several GPUs of one machine train the 7B shape than one.

    python -m benchmarks.ranks                  1, 2 and 4 GPUs, as far as they are visible, one after another
    python -m benchmarks.ranks --tiny --ranks 1 2    a rehearsal: a tiny model, processes on the CPU, gloo

Every arm is a number of ranks, started as `medcot sync` starts them. All arms train the same rows in every step, on
random weights of the exact shape of DeepSeek-R1-Distill-Qwen-7B in NF4, by the profile `rtx4090`, within as much memory
of each GPU. A rate counts real tokens of all ranks, no padding, after the warm-up steps; the efficiency of N ranks is
their rate over N times that of one.

Belongs here: running, timing, printing, the JSON file.
Does not belong here: what is measured (medcot_pipeline.training, medcot_pipeline.compute).
"""

import argparse
import dataclasses
import os
import random
import tempfile
import time
from pathlib import Path
from typing import Any

import pydantic

from benchmarks.gpu import add_options, chinese_rows, make_random_model, run_arms, say
from benchmarks.training import WARM_UP_STEPS, read_rows, speed, train_as_planned
from medcot_pipeline.compute.gpus import visible_gpus
from medcot_pipeline.compute.ranks import run_ranks
from medcot_pipeline.compute.together import Ranks, ranks_here
from medcot_pipeline.models.devices import Device, least_of, limit_gpu_memory, this_device
from medcot_pipeline.models.load import load_tokenizer, quiet
from medcot_pipeline.models.shape import ModelShape
from medcot_pipeline.settings import BaseModelSettings, TrainingSettings
from medcot_pipeline.settings.load import load_settings
from medcot_pipeline.support.json_files import write_json
from medcot_pipeline.support.progress import Say
from medcot_pipeline.training.plan.choose import plan_training
from medcot_pipeline.training.plan.training_plan import describe
from medcot_pipeline.training.rows import TrainingRow

ROOT = Path(__file__).parents[1]
TIMED_SUMS = 20


class Arm(pydantic.BaseModel):
    """What the ranks of one arm are given.

    Attributes:
        model: folder of the weights.
        rows: file of genuine rows; none: rows are made up.
        steps: timed optimiser steps.
        limit_gb: memory of each GPU, 10^9 bytes; none: all of it.
        engine: as set.
    """

    model: Path
    rows: Path | None
    steps: int
    limit_gb: float | None
    engine: str


def train_arm(arguments: Arm, say: Say) -> dict[str, Any]:
    """Train as one rank of an arm; what the first one measured, and the memory of each."""
    ranks = ranks_here()
    changes = {"max_gpu_memory_gb": arguments.limit_gb, "checkpoint_share": 1.0, "engine": arguments.engine}
    small = {} if arguments.rows else {"per_device_train_batch_size": 4}
    settings = TrainingSettings(**load_settings("rtx4090").training.model_dump() | changes | small)
    from medcot_pipeline.training.engines import choose_engine

    started = time.monotonic()
    engine = choose_engine(settings, say)
    if engine == "unsloth":
        os.environ["UNSLOTH_DISABLE_STATISTICS"] = "1"
        os.environ["UNSLOTH_COMPILE_LOCATION"] = tempfile.mkdtemp(prefix="unsloth_compiled_")
        import unsloth  # noqa: F401
    import torch

    quiet()
    limit_gpu_memory(settings.max_gpu_memory_gb)
    count = (WARM_UP_STEPS + arguments.steps) * settings.per_device_train_batch_size
    count *= settings.gradient_accumulation_steps
    rows = read_rows(arguments.rows, load_tokenizer(arguments.model), count) if arguments.rows else made_up_rows(count)
    own = this_device(settings.max_gpu_memory_gb)
    device = least_of([Device(**each) for each in ranks.gathered("device", dataclasses.asdict(own))])
    shape = ModelShape.of_folder(arguments.model)
    plan = plan_training(settings, engine, shape, [len(row) for row in rows], device, ranks.size)
    timings, _ = train_as_planned(arguments.model, settings, plan, rows)
    return {
        "ranks": ranks.size,
        "plan": describe(plan),
        **speed(timings),
        "seconds_to_first_step": round(timings.ends[0] - started, 1),
        "losses": [round(loss, 6) for loss in timings.losses],
        "sum_milliseconds": sum_milliseconds(ranks, shape.adapter_parameters(settings.lora_rank)),
        "memory_of_ranks": ranks.gathered("memory", memory()),
        "gpu": device.name,
        "torch": torch.__version__,
    }


def made_up_rows(count: int) -> list[TrainingRow]:
    """Rows of 20 to 120 tokens."""
    draw = random.Random(1)
    ids = [[draw.randrange(1000) for _ in range(draw.randrange(20, 120))] for _ in range(count)]
    return [TrainingRow(row, [-100] * 5 + row[5:]) for row in ids]


def memory() -> dict[str, float] | None:
    """The most that this process took of its GPU, GB: reserved by PyTorch, and with what CUDA and NCCL take."""
    import torch

    if not torch.cuda.is_available():
        return None
    free, total = torch.cuda.mem_get_info()
    beside = total - free - torch.cuda.memory_reserved()
    reserved = torch.cuda.max_memory_reserved()
    return {
        "allocated_gb": round(torch.cuda.max_memory_allocated() / 1e9, 2),
        "reserved_gb": round(reserved / 1e9, 2),
        "with_context_gb": round((reserved + beside) / 1e9, 2),
    }


def sum_milliseconds(ranks: Ranks, numbers: int) -> float:
    """One sum of so many gradients over all ranks, in the mean."""
    import torch

    cuda = torch.cuda.is_available()
    values = [torch.zeros(numbers, device="cuda" if cuda else "cpu")]
    ranks.add_up(values, [0.0, 0.0])
    started = time.monotonic()
    for _ in range(TIMED_SUMS):
        ranks.add_up(values, [0.0, 0.0])
    if cuda:
        torch.cuda.synchronize()
    return round((time.monotonic() - started) / TIMED_SUMS * 1e3, 3)


def table(results: list[dict[str, Any]]) -> str:
    """One line an arm, as Markdown; and how far the losses are apart."""
    lines = [
        "| ranks | real tokens/s (steps' median, least to most) | efficiency | micro-steps | padding | one sum |"
        " peak of each rank, GB: allocated; with context; planned |",
        "|---|---|---|---|---|---|---|",
    ]
    alone = next((each for each in results if each["ranks"] == 1), None)
    for each in results:
        steps = each["step_rates"]
        share = each["tokens_per_second"] / (each["ranks"] * alone["tokens_per_second"]) if alone else None
        lines.append(
            f"| {each['ranks']} | {each['tokens_per_second']:,} ({steps['median']:,.0f}, {steps['least']:,.0f} to "
            f"{steps['most']:,.0f}) | {'' if share is None else f'{share:.1%}'} | {each['micro_steps']} | "
            f"{each['padding_share']:.1%} | {each['sum_milliseconds']:.2f} ms | {peaks(each)} |"
        )
    for each in results:
        if alone and each is not alone:
            pairs = zip(alone["losses"], each["losses"], strict=True)
            apart = max(abs(one - several) / one for one, several in pairs)
            lines.append(f"\nlosses of 1 and {each['ranks']} ranks: at most {apart:.1e} apart, relatively")
    return "\n".join(lines)


def peaks(result: dict[str, Any]) -> str:
    """The memory that each rank of an arm took, and what was planned; nothing on a CPU."""
    taken = [each for each in result["memory_of_ranks"] if each]
    if not taken:
        return ""
    columns = [", ".join(f"{each[name]:.1f}" for each in taken) for name in ("allocated_gb", "with_context_gb")]
    return "; ".join([*columns, f"{result['plan']['predicted_memory_gb']:.1f}"])


def run_arm(count: int, arguments: Arm, tiny: bool) -> dict[str, Any]:
    """Start the ranks of one arm and return what they measured."""
    os.environ.setdefault("NCCL_NVLS_ENABLE", "0")
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    os.environ["PYTHONPATH"] = os.pathsep.join(paths)
    gpus = [""] * count if tiny else [gpu.name for gpu in visible_gpus()][:count]
    job = f"benchmarks.ranks.{train_arm.__name__}"
    return run_ranks("benchmark", job, arguments.model_dump(mode="json"), gpus, say)


def main() -> None:
    """Run the arms one after another and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--ranks", nargs="+", type=int, default=[1, 2, 4], help="numbers of GPUs")
    parser.add_argument("--steps", type=int, default=25, help="timed optimiser steps of 48 rows")
    parser.add_argument("--engine", choices=("auto", "hf", "unsloth"), default="auto")
    parser.add_argument("--tiny", action="store_true", help="rehearse with a tiny model on the CPU")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    add_options(parser, "ranks")
    options = parser.parse_args()
    arguments = Arm(
        model=options.model,
        rows=None if options.tiny else chinese_rows(options.rows),
        steps=options.steps,
        limit_gb=None if options.tiny else options.limit_gb,
        engine="hf" if options.tiny else options.engine,
    )
    if options.one:
        write_json(options.out, run_arm(options.one, arguments, options.tiny))
        return
    seen = len(visible_gpus())
    counts = [count for count in options.ranks if options.tiny or count <= seen]
    if options.tiny:
        from medcot_pipeline.models.origin.sources import make_tiny_model

        make_tiny_model(BaseModelSettings(kind="tiny_random"), options.model)
    elif counts:
        make_random_model(options.model)
    for count in options.ranks:
        if count not in counts:
            say(f"{count} ranks: left out, {seen} GPUs are visible")
    given = {}
    for count in counts:
        given[str(count)] = ["--one", str(count), "--model", str(options.model), "--rows", str(options.rows)]
        given[str(count)] += ["--steps", str(options.steps), "--limit-gb", str(options.limit_gb)]
        given[str(count)] += ["--engine", options.engine] + ["--tiny"] * options.tiny
    run_arms("ranks", given, options.out, table)


if __name__ == "__main__":
    main()
