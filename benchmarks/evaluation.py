"""What perplexity costs: padded NF4 as it was shipped, weights unpacked, rows packed; and what an answer costs.

    python -m benchmarks.evaluation                              the profile `tiny`, lm-eval beside it, answers too
    python -m benchmarks.evaluation --model FOLDER --limit-gb 24 likelihoods alone, with another model

Every arm measures the same rows twice, by the base alone and with LoRA of rank 8 of random weights, which costs what a
trained one does. The arms take turns and load their model anew each time. A folder that is not there is filled with
random weights of the exact shape of DeepSeek-R1-Distill-Qwen-7B, for which a GPU is needed.

Rows are genuine ones of the folder `MEDCOT_REALDATA` where there is one, else the project's sample.

Belongs here: tokens a second and memory of each arm, how far their likelihoods lie apart, cost of an answer.
Does not belong here: whether the figures are right (the tests).
"""

import argparse
import gc
import json
import os
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.generation import lora
from benchmarks.gpu import make_random_model, say
from medcot_pipeline.chat import encode_row
from medcot_pipeline.evaluation.perplexity.packing.likelihood import LineBudget, token_nll
from medcot_pipeline.evaluation.perplexity.packing.plan import (
    PerplexityPlan,
    forward_operations,
    may_pack,
    plan_perplexity,
)
from medcot_pipeline.models.arms import without_adapter
from medcot_pipeline.models.devices import CONTEXT_BYTES, GB, Device, device, hold_to, this_device
from medcot_pipeline.models.load import load_base, load_tokenizer, quiet
from medcot_pipeline.models.origin.sources import make_tiny_model
from medcot_pipeline.models.shape import ModelShape
from medcot_pipeline.records.arms import Arm
from medcot_pipeline.settings import engine_settings, load_settings, project_root
from medcot_pipeline.support.json_files import write_json
from medcot_pipeline.support.progress import duration

FOLDER = Path(os.environ.get("MEDCOT_REALDATA") or project_root().parent / "shared" / "data")
SAMPLE = project_root() / "data" / "sample" / "medical_o1_sample.json"
ARMS = ("padded, NF4", "padded, unpacked", "packed, unpacked")
"""As shipped before, with the same weights unpacked once, and as planned now."""
SHIPPED_CHUNKS = {"cpu": 32, "cuda": 256}
"""Positions whose logits stood in memory together in what was shipped before."""
WARM_ROWS = 4
LONGEST = 2048


def rows(count: int) -> tuple[str, list[dict[str, str]]]:
    """Where the rows are from, and `count` of them, or all there are."""
    genuine = sorted(FOLDER.glob("medical_o1_??.json"))
    records = [row for path in genuine or [SAMPLE] for row in json.loads(path.read_text(encoding="utf-8"))]
    return ("genuine" if genuine else "sample"), records[:count]


def encode(tokenizer: Any, records: Sequence[dict[str, str]]) -> list[list[int]]:
    """Token ids of the rows, the longest first, less those above `LONGEST`."""
    encoded = [encode_row(tokenizer, row["Question"], row["Complex_CoT"], row["Response"]) for row in records]
    ids = [[*row.prompt, *row.reasoning, *row.answer] for row in encoded]
    return sorted((row for row in ids if len(row) <= LONGEST), key=len, reverse=True)


def padded_nll(model: Any, texts: Sequence[Sequence[int]], pad: int, batch_size: int) -> list[Any]:
    """What was shipped before: batches padded on the right, logits by the model's own output layer."""
    import torch

    split: Any = torch.Tensor.split
    decoder, chunk = without_adapter(model), SHIPPED_CHUNKS[model.device.type]
    found: list[Any] = []
    for start in range(0, len(texts), batch_size):
        batch = texts[start : start + batch_size]
        lengths = [len(row) for row in batch]
        ids = torch.tensor([[*row, *[pad] * (lengths[0] - len(row))] for row in batch]).to(model.device)
        mask = torch.tensor([[1] * size + [0] * (lengths[0] - size) for size in lengths]).to(model.device)
        with torch.no_grad():
            hidden = decoder.model(input_ids=ids, attention_mask=mask, use_cache=False).last_hidden_state
            scored = mask[:, 1:].bool()
            pieces = []
            for some, own in zip(split(hidden[:, :-1][scored], chunk), split(ids[:, 1:][scored], chunk), strict=True):
                logits = decoder.lm_head(some).float()
                wanted, largest = logits.gather(1, own[:, None])[:, 0], logits.amax(1, keepdim=True)
                pieces.append(logits.sub_(largest).exp_().sum(1).log_() + largest[:, 0] - wanted)
        found += split(torch.cat(pieces).double().cpu(), [size - 1 for size in lengths])
    return found


def run_arm(arm: str, folder: Path, texts: Sequence[Sequence[int]], plan: PerplexityPlan, batch_size: int) -> Any:
    """Seconds of base and tuned, likelihoods of both, and most memory, of one arm with a model of its own."""
    import torch

    tokenizer, base = load_tokenizer(folder), load_base(folder, unpack=arm != ARMS[0])
    torch.manual_seed(0)  # the same adapter in every arm
    model = lora(base)

    def measure(some: Sequence[Sequence[int]]) -> list[Any]:
        if arm == ARMS[2]:
            return token_nll(model, some, LineBudget(plan.line_tokens, say))
        return padded_nll(model, some, tokenizer.pad_token_id, batch_size)

    measure(texts[:WARM_ROWS])
    if device() == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    seconds, spent, losses = {}, {}, {}
    for which in ("base", "tuned"):
        started, before = time.perf_counter(), time.process_time()
        if which == "base":
            with model.disable_adapter():
                found = measure(texts)
        else:
            found = measure(texts)
        seconds[which], spent[which] = time.perf_counter() - started, time.process_time() - before
        losses[which] = torch.cat(found)
    peak = None
    if device() == "cuda":
        peak = (torch.cuda.max_memory_reserved() + CONTEXT_BYTES) / GB
        del model, base, measure
        gc.collect()
        torch.cuda.empty_cache()
    return seconds, spent, losses, peak


def compare(folder: Path, texts: Sequence[Sequence[int]], options: argparse.Namespace, where: Device) -> dict[str, Any]:
    """Every arm in turn: tokens a second of both models, and the largest difference to the first arm."""
    tokens, shape = sum(map(len, texts)), ModelShape.of_folder(folder)
    plan = plan_perplexity(shape, where, LONGEST, packs=may_pack(folder, where))
    say(plan.line(tokens))
    hold_to(plan.limit_bytes)
    result: dict[str, Any] = {
        "device": where.name,
        "rows": len(texts),
        "tokens": tokens,
        "batch_size": options.batch_size,
        "line_tokens": plan.line_tokens,
        "predicted_gb": plan.memory_bytes and round(plan.memory_bytes / GB, 2),
        "arms": {arm: {"base": [], "tuned": [], "cpu_base": [], "cpu_tuned": []} for arm in options.arms},
    }
    reference: dict[str, Any] = {}
    for turn in range(options.repeats):
        for arm in options.arms:
            seconds, spent, losses, peak = run_arm(arm, folder, texts, plan, options.batch_size)
            reference = reference or losses
            own = result["arms"][arm]
            for which in ("base", "tuned"):
                apart = (losses[which] - reference[which]).abs()
                own[which].append(seconds[which])
                own[f"cpu_{which}"].append(spent[which])
                own[f"mean_nll_{which}"] = float(losses[which].mean())
                own[f"largest_difference_{which}"] = float(apart.max())
                own[f"mean_difference_{which}"] = float(apart.mean())
                say(
                    f"  run {turn + 1} of {options.repeats}, {arm}, {which}: {tokens / seconds[which]:,.0f} tokens/s "
                    f"({seconds[which]:.2f} s, {spent[which]:.2f} s of processor), largest difference of a token's nll "
                    f"to {options.arms[0]} {float(apart.max()):.2g}, mean {float(apart.mean()):.2g} nats"
                    + ("" if peak is None else f", peak {peak:.1f} GB")
                )
            own["peak_gb"] = peak
            rate = tokens * forward_operations(shape, tokens / len(texts)) / min(own["tuned"])
            own["operations_per_second"] = rate
            own["share_of_matrix_rate"] = where.matrix_rate and round(rate / where.matrix_rate, 3)
            write_json(options.json, {"likelihoods": result})
    return result


def lm_eval_seconds(folder: Path, texts: Sequence[Sequence[int]], batch_size: int) -> dict[str, float]:
    """lm-eval's rolling log-likelihood of the same texts by the tuned model: seconds, and the sum of nll.

    It puts a first token before each text, which is the begin token that the texts already start with: it is given the
    texts without theirs, so that both score the same tokens in the same context.
    """
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM

    tokenizer, model = load_tokenizer(folder), lora(load_base(folder))
    runner = HFLM(
        pretrained=model,
        tokenizer=tokenizer,
        batch_size=batch_size,
        prefix_token_id=tokenizer.bos_token_id,
        trust_remote_code=False,
    )
    strings = [tokenizer.decode(text[1:], skip_special_tokens=False) for text in texts]
    requests = [Instance("loglikelihood_rolling", {}, (string,), number) for number, string in enumerate(strings)]
    started = time.perf_counter()
    nll = -sum(runner.loglikelihood_rolling(requests, disable_tqdm=True))
    return {"seconds": time.perf_counter() - started, "nll": nll}


def answer_cost(folder: Path, count: int) -> dict[str, float]:
    """Seconds that answers take in the profile `tiny`, base and tuned together."""
    from medcot_pipeline.evaluation.answers.generation import generate_answers
    from medcot_pipeline.inference.loaded import LoadedModel
    from medcot_pipeline.records.prompts import read_prompts

    settings, adapter = load_settings("tiny"), folder.parent / "adapter"
    lora(load_base(folder)).save_pretrained(adapter)
    prompts = read_prompts(project_root() / settings.answers.prompts, count)
    answers = settings.answers.model_copy(update={"max_prompts": count})
    started = time.perf_counter()
    arms: tuple[tuple[Arm, Path | None], ...] = (("base", None), ("tuned", adapter))
    for arm, own in arms:
        model = LoadedModel(folder, own, engine_settings(settings), section="MEDCOT_ANSWERS")
        generate_answers(model, arm, prompts, answers, folder.parent / arm, say)
    seconds = time.perf_counter() - started
    return {"examples": len(prompts), "seconds": seconds, "max_new_tokens": answers.max_new_tokens}


def table(result: dict[str, Any]) -> str:
    """One line for each arm and model, as Markdown."""
    found = result["likelihoods"]
    lines = [
        f"{found['device']}; {found['rows']} {result['rows_from']} rows, {found['tokens']:,} tokens, batches of "
        f"{found['batch_size']}, lines of {found['line_tokens']:,}; predicted peak {found['predicted_gb']} GB",
        "",
        "| arm | model | tokens/s, median (slowest to fastest) | processor s | mean nll | largest difference | peak |",
        "|---|---|---|---|---|---|---|",
    ]
    for arm, own in found["arms"].items():
        for which in ("base", "tuned"):
            rates = [found["tokens"] / seconds for seconds in own[which]]
            peak = "" if own["peak_gb"] is None else f"{own['peak_gb']:.1f} GB"
            lines.append(
                f"| {arm} | {which} | {statistics.median(rates):,.0f} ({min(rates):,.0f} to {max(rates):,.0f}) | "
                f"{statistics.median(own[f'cpu_{which}']):.1f} | {own[f'mean_nll_{which}']:.4f} | "
                f"{own[f'largest_difference_{which}']:.2g} | {peak} |"
            )
    if beside := result.get("lm_eval"):
        lines.append(f"| lm-eval, rolling | tuned | {found['tokens'] / beside['seconds']:,.0f} | | | | |")
    if spent := result.get("answers"):
        each = spent["seconds"] / spent["examples"]
        lines += ["", f"{spent['examples']} answers of {spent['max_new_tokens']} tokens, base and tuned: "
                  f"{duration(spent['seconds'])}, {each:.2f} s each"]  # fmt: skip
    return "\n".join(lines)


def main() -> None:
    """Print the tables and write the numbers as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=200, help="rows measured")
    parser.add_argument("--prompts", type=int, default=100, help="prompts for the cost of answers; 0: not measured")
    parser.add_argument("--repeats", type=int, default=3, help="turns of each arm")
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS))
    parser.add_argument("--batch-size", type=int, default=4, help="rows of a padded batch, as was shipped")
    parser.add_argument("--model", type=Path, help="folder of a base; then nothing but likelihoods is measured")
    parser.add_argument("--limit-gb", type=float, help="GPU memory, 10^9 bytes, CUDA's own counted")
    parser.add_argument("--no-lm-eval", action="store_true", help="leave lm-eval out")
    parser.add_argument("--json", type=Path, default=Path("evaluation_benchmark.json"), help="where the numbers go")
    options = parser.parse_args()
    os.environ["TQDM_DISABLE"] = "1"  # lm-eval's bars would run through the progress lines
    quiet()
    source, records = rows(options.rows)
    result: dict[str, Any] = {"rows_from": source}
    with tempfile.TemporaryDirectory() as name:
        folder = options.model or Path(name) / "base"
        if options.model is None:
            make_tiny_model(load_settings("tiny").base_model, folder)
        else:
            make_random_model(folder)
        texts = encode(load_tokenizer(folder), records)
        result["likelihoods"] = compare(folder, texts, options, this_device(options.limit_gb))
        if options.model is None:
            if not options.no_lm_eval:
                result["lm_eval"] = lm_eval_seconds(folder, texts, options.batch_size)
            if options.prompts:
                result["answers"] = answer_cost(folder, options.prompts)
    say("\n" + table(result))
    write_json(options.json, result)
    say(f"\nnumbers in {options.json}")


if __name__ == "__main__":
    main()
