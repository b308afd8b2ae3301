"""Speed of writing answers with the 7B shape in 24 GB: `generate` as it was shipped beside the engine.

    python -m benchmarks.generation               every arm on one GPU, each in a process of its own
    python -m benchmarks.generation --rehearse    the same with a tiny model, 12 prompts and short answers, on a CPU

Every arm answers the same 100 prompts twice, by the base alone and with LoRA of rank 8, on random weights of the exact
shape of DeepSeek-R1-Distill-Qwen-7B in NF4, within the same memory limit. Prompts are genuine questions; how long an
answer gets is drawn from the completions of the same genuine rows, stretched to a median of 700 tokens, since models
write more than their training data, and the longest is 2,048. Random weights end nowhere: an answer is ended at its
length, which no arm knows beforehand.

`generate` is timed over some steps of one batch and its whole job is extrapolated: every batch takes as many steps as
its longest answer. The engine does the whole job; recording its steps and compiling its kernels counts.

Belongs here: running, timing, printing, the JSON file.
Does not belong here: what is measured (medcot_pipeline.inference).
"""

import argparse
import random
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.gpu import add_options, chinese_rows, make_random_model, run_arms, say
from medcot_pipeline.chat import encode_prompt, encode_row
from medcot_pipeline.inference.local.cache import place_bytes
from medcot_pipeline.inference.local.engine import LocalEngine
from medcot_pipeline.inference.local.plan import plan_engine
from medcot_pipeline.inference.local.rows import Row
from medcot_pipeline.inference.requests import Request, Sampling, request_seed
from medcot_pipeline.models.devices import GB, device, hold_to, memory_line, this_device
from medcot_pipeline.models.load import load_base, load_tokenizer, quiet
from medcot_pipeline.models.nf4 import weight_bytes
from medcot_pipeline.models.origin.sources import make_tiny_model
from medcot_pipeline.models.shape import ModelShape
from medcot_pipeline.settings import BaseModelSettings, LocalEngineSettings
from medcot_pipeline.support.json_files import read_json, write_json

ARMS = ("as-shipped", "dequantised", "engine-started", "engine")
"""`generate` on NF4 with 8 rows, `generate` on unpacked weights with 64, the engine without and with recorded steps."""
BATCH = {"as-shipped": 8, "dequantised": 64}
MEDIAN, LONGEST = 700, 2048
RANK = 8
SHRINK = 64
"""What lengths are divided by in a rehearsal."""
SAMPLING = Sampling(temperature=0.6, top_p=0.95)


def lora(model: Any, seed: int = 0) -> Any:
    """A model with LoRA of rank 8 on all linear modules, none of it zero, drawn by a seed."""
    import torch
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(seed)
    made = get_peft_model(model, LoraConfig(r=RANK, lora_alpha=2 * RANK, target_modules="all-linear")).eval()
    for name, weight in made.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.01)
    return made


def reasoning_lengths(rows: Path, tokenizer: Any, count: int, longest: int, shrink: int) -> list[int]:
    """Lengths of answers by the quantiles of genuine completions, stretched to the median, in a random order.

    Args:
        rows: JSON with Question, Complex_CoT and Response.
        tokenizer: of the model.
        count: how many.
        longest: of the last one, and of any.
        shrink: lengths are divided by it.
    """
    encoded = [encode_row(tokenizer, row["Question"], row["Complex_CoT"], row["Response"]) for row in read_json(rows)]
    genuine = sorted(len(row.reasoning) + len(row.answer) for row in encoded)
    stretch = MEDIAN / genuine[len(genuine) // 2]
    lengths = [round(genuine[int((n + 0.5) / count * len(genuine))] * stretch) for n in range(count - 1)]
    lengths = [max(1, min(each, longest) // shrink) for each in [*lengths, longest]]
    random.Random(0).shuffle(lengths)
    return lengths


def prompts_and_lengths(rows: Path, tokenizer: Any, count: int, shrink: int) -> tuple[list[Request], list[int]]:
    """Prompts of genuine rows, and how long their answers get; arguments as of `reasoning_lengths`."""
    requests = []
    for number, record in enumerate(read_json(rows)[:count]):
        ids = encode_prompt(tokenizer, record["Question"])
        requests.append(Request(str(number), tuple(ids), SAMPLING, request_seed(0, str(number)), LONGEST // shrink))
    return requests, reasoning_lengths(rows, tokenizer, count, LONGEST, shrink)


def copy_bandwidth() -> float:
    """Bytes per second of memory, read and written by a large copy."""
    import torch

    size = 2**30 if device() == "cuda" else 2**27
    source = torch.zeros(size, dtype=torch.uint8, device=device())
    target = torch.empty_like(source)
    target.copy_(source)
    _wait()
    started = time.monotonic()
    for _ in range(10):
        target.copy_(source)
    _wait()
    return 20 * size / (time.monotonic() - started)


class EndingEngine(LocalEngine):
    """Ends every answer at its length, and counts steps."""

    lengths: dict[str, int]
    steps_taken = 0

    def is_end(self, row: Row, token: int) -> bool:
        """At its length, which counts the token that ends it."""
        return len(row.written) + 1 >= self.lengths[row.request.id]

    def _take_steps(self, running: Sequence[Row], *, adapter: bool) -> None:
        self.steps_taken += self.plan.steps
        super()._take_steps(running, adapter=adapter)


def run_generate(
    arm: str, model: Any, requests: Sequence[Request], lengths: Sequence[int], steps: int, pad: int
) -> list[dict[str, Any]]:
    """Time some steps of a batch of both arms; the whole job follows from every batch's longest answer."""
    import contextlib

    import torch

    size = min(BATCH[arm], len(requests))
    batch = requests[:size]
    width = max(len(request.prompt_ids) for request in batch)
    ids = torch.tensor([[pad] * (width - len(each.prompt_ids)) + list(each.prompt_ids) for each in batch]).to(device())
    mask = torch.tensor([[0] * (width - len(each.prompt_ids)) + [1] * len(each.prompt_ids) for each in batch])
    batches = [max(lengths[start : start + size]) for start in range(0, len(lengths), size)]
    found = []
    for which in ("base", "tuned"):
        with model.disable_adapter() if which == "base" else contextlib.nullcontext(), torch.no_grad():
            seconds = {}
            for count in (4, 4 + steps):  # the first call warms up
                _wait()
                started = time.monotonic()
                model.generate(
                    input_ids=ids, attention_mask=mask.to(device()), max_new_tokens=count, min_new_tokens=count,
                    do_sample=True, temperature=SAMPLING.temperature, top_p=SAMPLING.top_p, top_k=0, pad_token_id=pad,
                )  # fmt: skip
                _wait()
                seconds[count] = time.monotonic() - started
        step = seconds[4 + steps] / (4 + steps)
        found.append(
            {
                "which": which,
                "batch": size,
                "tokens_per_second": round(size / step, 1),
                "step_ms": round(step * 1e3, 2),
                "steps": sum(batches),
                "job_seconds": round(step * sum(batches), 1),
                "extrapolated": True,
            }
        )
    return found


def run_engine(
    model: Any, plan: Any, requests: Sequence[Request], lengths: Sequence[int], *, graphs: bool
) -> list[dict[str, Any]]:
    """The whole job of both arms."""
    engine = EndingEngine(model, (), plan, say, graphs=graphs)
    _say_memory("cache made")
    engine.lengths = dict(zip((request.id for request in requests), lengths, strict=True))
    found = []
    for which in ("base", "tuned"):
        before, engine.steps_taken = engine.runner.record_seconds, 0
        _wait()
        started = time.monotonic()
        written = engine.write(requests, adapter=which == "tuned", what=which)
        _wait()
        seconds = time.monotonic() - started
        _say_memory(f"{which} written")
        recording = engine.runner.record_seconds - before
        tokens = sum(len(each.token_ids) + each.finished for each in written)
        assert tokens == sum(lengths), (tokens, sum(lengths))
        found.append(
            {
                "which": which,
                "batch": plan.rows,
                "tokens_per_second": round(tokens / (seconds - recording), 1),
                "step_ms": round((seconds - recording) / engine.steps_taken * 1e3, 2),
                "steps": engine.steps_taken,
                "job_seconds": round(seconds, 2),
                "record_seconds": round(recording, 2),
                "extrapolated": False,
            }
        )
    return found


def run_arm(arm: str, folder: Path, rows: Path, options: argparse.Namespace) -> dict[str, Any]:
    """One arm in this process: speed, memory, share of the bandwidth."""
    import torch

    quiet()
    tokenizer, shape = load_tokenizer(folder), ModelShape.of_folder(folder)
    requests, lengths = prompts_and_lengths(rows, tokenizer, options.prompts, SHRINK if options.rehearse else 1)
    bandwidth = copy_bandwidth()
    if device() == "cuda":
        torch.cuda.empty_cache()
    hold_to(options.limit_gb * GB)
    longest = max(len(request.prompt_ids) + request.max_tokens for request in requests)
    settings = LocalEngineSettings(max_gpu_memory_gb=options.limit_gb, rows=options.rows_at_once)
    plan = plan_engine(
        shape, this_device(options.limit_gb), settings, longest, lora_rank=RANK, nf4=True, limited_by="LONGEST"
    )
    started = time.monotonic()
    model = lora(load_base(folder, unpack=arm == "dequantised"))
    load_seconds = time.monotonic() - started
    _say_memory("loaded")
    if device() == "cuda":
        torch.cuda.reset_peak_memory_stats()
    if arm in BATCH:
        found = run_generate(arm, model, requests, lengths, options.steps, tokenizer.pad_token_id)
    else:
        say(plan.line(plan.ahead([Row(request) for request in requests])))
        found = run_engine(model, plan, requests, lengths, graphs=arm == "engine")
    itemsize = 2 if device() == "cuda" else 4
    read_once = weight_bytes(shape, 0, itemsize, packed=False)
    read_once -= 0 if shape.tied else itemsize * shape.vocabulary * shape.hidden  # the embedding is looked up
    places = sum(
        (len(request.prompt_ids) + length / 2) * length for request, length in zip(requests, lengths, strict=True)
    )
    for each in found:
        least = (each["steps"] * read_once + places * place_bytes(shape, itemsize)) / bandwidth
        each["share_of_bandwidth"] = None if arm in BATCH else round(
            least / (each["job_seconds"] - each["record_seconds"]), 3
        )  # fmt: skip
    return {
        "arm": arm,
        "both": found,
        "tokens": sum(lengths),
        "longest": max(lengths),
        "median": sorted(lengths)[len(lengths) // 2],
        "load_seconds": round(load_seconds, 1),
        "bandwidth": round(bandwidth / 1e9),
        "peak_gib": peak_gib(),
        "device": torch.cuda.get_device_name(0) if device() == "cuda" else "CPU",
        "torch": torch.__version__,
    }


def table(results: Sequence[dict[str, Any]]) -> str:
    """One line for each arm of both models, as Markdown."""
    first = results[0]
    lines = [
        f"{first['device']}, PyTorch {first['torch']}, copies at {first['bandwidth']:,} GB/s; {first['tokens']:,} "
        f"tokens for each model, median {first['median']}, longest {first['longest']:,}",
        "",
        "| arm | model | rows | tokens/s | step | whole job | of it recording | peak | share of bandwidth |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for result in results:
        for each in result["both"]:
            about = "about " if each["extrapolated"] else ""
            share = "" if each["share_of_bandwidth"] is None else f"{each['share_of_bandwidth']:.0%}"
            recording = "" if each["extrapolated"] else f"{each['record_seconds']:.1f} s"
            peak = "" if result["peak_gib"] is None else f"{result['peak_gib']:.1f} GiB"
            lines.append(
                f"| {result['arm']} | {each['which']} | {each['batch']} | {each['tokens_per_second']:,.0f} | "
                f"{each['step_ms']:.1f} ms | {about}{each['job_seconds']:,.1f} s | {recording} | {peak} | {share} |"
            )
    whole = {result["arm"]: sum(each["job_seconds"] for each in result["both"]) for result in results}
    if "engine" in whole:
        ratios = [f"{whole[arm] / whole['engine']:.1f} times {arm}" for arm in whole if arm != "engine"]
        lines += ["", f"engine, both models: {whole['engine']:.1f} s; {', '.join(ratios)}"]
    return "\n".join(lines)


def peak_gib() -> float | None:
    """Most memory that PyTorch reserved, with CUDA's own beside it, GiB."""
    import torch

    if device() != "cuda":
        return None
    free, total = torch.cuda.mem_get_info()
    context = total - free - torch.cuda.memory_reserved()
    return round((torch.cuda.max_memory_reserved() + context) / 2**30, 2)


def _wait() -> None:
    import torch

    if device() == "cuda":
        torch.cuda.synchronize()


def _say_memory(stage: str) -> None:
    if device() == "cuda":
        say(f"{stage}: {memory_line()}")


def make_model(folder: Path, *, tiny: bool) -> None:
    """Write random weights where there are none: of the 7B shape, or of a tiny one."""
    if not tiny:
        make_random_model(folder)
    elif not (folder / "config.json").is_file():
        make_tiny_model(BaseModelSettings(kind="tiny_random"), folder)


def main() -> None:
    """Run the arms one after another and print the table as it grows."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=["as-shipped", "dequantised", "engine"])
    parser.add_argument("--prompts", type=int, default=100)
    parser.add_argument("--steps", type=int, default=96, help="timed steps of `generate`")
    parser.add_argument("--rows-at-once", type=int, help="of the engine (as planned by default)")
    parser.add_argument("--rehearse", action="store_true", help="a tiny model, 12 prompts, answers of a 64th")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    add_options(parser, "generation")
    options = parser.parse_args()
    rows = chinese_rows(options.rows)
    if options.rehearse:
        options.model = options.model.with_name("tiny")
        options.prompts, options.steps = 12, 4
    if options.one:
        write_json(options.out, run_arm(options.arms[0], options.model, rows, options))
        return
    make_model(options.model, tiny=options.rehearse)
    given = [f"--prompts={options.prompts}", f"--steps={options.steps}", f"--limit-gb={options.limit_gb}"]
    given += [f"--rows={rows}", f"--model={options.model}"] + ["--rehearse"] * options.rehearse
    given += [f"--rows-at-once={options.rows_at_once}"] if options.rows_at_once else []
    run_arms("generation", {arm: ["--one", "--arms", arm, *given] for arm in options.arms}, options.out, table)


if __name__ == "__main__":
    main()
