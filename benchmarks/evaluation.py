"""What evaluation costs in the profile `tiny`, and perplexity beside lm-eval's: `python -m benchmarks.evaluation`.

Belongs here: cost per example of perplexity and of answers, base and tuned together; tokens a second of this project's
likelihoods and of lm-eval's rolling log-likelihood over the same texts with the same model, in turn.
Does not: whether the figures are right (the tests). An adapter of random weights costs what a trained one does.

Rows are genuine ones of the folder `MEDCOT_REALDATA` where there is one, else the project's sample.
"""

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from medcot_pipeline.evaluation.answers.generation import generate_answers
from medcot_pipeline.evaluation.perplexity.measure import measure_texts, token_nll
from medcot_pipeline.evaluation.perplexity.texts import Text, encode_rows
from medcot_pipeline.models.arms import load_arm
from medcot_pipeline.models.load import load_base, load_tokenizer, quiet
from medcot_pipeline.models.origin.sources import make_tiny_model
from medcot_pipeline.records.arms import ARMS
from medcot_pipeline.records.prompts import read_prompts
from medcot_pipeline.settings import engine_settings, load_settings, project_root
from medcot_pipeline.support.progress import duration

FOLDER = Path(os.environ.get("MEDCOT_REALDATA") or project_root().parent / "shared" / "data")
SAMPLE = project_root() / "data" / "sample" / "medical_o1_sample.json"


def rows(count: int) -> tuple[str, list[dict[str, str]]]:
    """Where the rows are from, and `count` of them, or all there are."""
    genuine = sorted(FOLDER.glob("medical_o1_??.json"))
    records = [row for path in genuine or [SAMPLE] for row in json.loads(path.read_text(encoding="utf-8"))]
    return ("genuine" if genuine else "sample"), records[:count]


def make_arms(folder: Path) -> tuple[Path, Path]:
    """The base model of the profile `tiny`, and an adapter of its shape with random weights."""
    from peft import LoraConfig, get_peft_model

    settings = load_settings("tiny")
    base, adapter = folder / "base", folder / "adapter"
    make_tiny_model(settings.base_model, base)
    config = LoraConfig(
        r=settings.training.lora_rank,
        lora_alpha=settings.training.lora_alpha,
        target_modules="all-linear",
        init_lora_weights=False,
        task_type="CAUSAL_LM",
    )
    get_peft_model(load_base(base), config).save_pretrained(adapter)
    return base, adapter


def encode(tokenizer: Any, records: Sequence[dict[str, str]], longest: int) -> list[Text]:
    """The rows as perplexity measures them, the longest first, less those above `longest` tokens."""
    columns = {"question": "Question", "reasoning": "Complex_CoT", "answer": "Response"}
    shaped = [
        {"row_id": f"{number:06d}", "group_id": f"{number:06d}", "language": ""}
        | {name: row[field] for name, field in columns.items()}
        for number, row in enumerate(records)
    ]
    texts = encode_rows(tokenizer, pl.DataFrame(shaped), "test")
    return sorted((text for text in texts if len(text.ids) <= longest), key=lambda text: -len(text.ids))


def likelihood_ways(
    model: Any, tokenizer: Any, texts: Sequence[Text], batch_size: int
) -> dict[str, Callable[[], float]]:
    """Both ways, each a function that measures every text and returns the sum of all negative log-likelihoods, nats.

    lm-eval puts a first token before each text, which is the begin token that the texts already start with: it is
    given the texts without theirs, so that both score the same tokens in the same context.
    """
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM

    runner = HFLM(
        pretrained=model,
        tokenizer=tokenizer,
        batch_size=batch_size,
        prefix_token_id=tokenizer.bos_token_id,
        trust_remote_code=False,
    )
    strings = [tokenizer.decode(text.ids[1:], skip_special_tokens=False) for text in texts]
    requests = [Instance("loglikelihood_rolling", {}, (string,), number) for number, string in enumerate(strings)]
    batches = [texts[start : start + batch_size] for start in range(0, len(texts), batch_size)]

    def own() -> float:
        losses = (token_nll(model, [text.ids for text in batch], tokenizer.pad_token_id) for batch in batches)
        return sum(float(loss.sum()) for batch in losses for loss in batch)

    def rolling() -> float:
        return -sum(runner.loglikelihood_rolling(requests, disable_tqdm=True))

    return {"this project": own, "lm-eval, rolling": rolling}


def compare(ways: dict[str, Callable[[], float]], tokens: int, repeats: int) -> dict[str, Any]:
    """Run the ways in turn: tokens a second of wall time, seconds of processor time, and the sum that each found."""
    rates: dict[str, list[float]] = {name: [] for name in ways}
    processor: dict[str, list[float]] = {name: [] for name in ways}
    sums = {}
    for turn in range(repeats):
        for name, way in ways.items():
            started, spent = time.perf_counter(), time.process_time()
            sums[name] = way()
            rates[name].append(tokens / (time.perf_counter() - started))
            processor[name].append(time.process_time() - spent)
            print(f"  run {turn + 1} of {repeats}, {name}: {rates[name][-1]:,.0f} tokens/s", flush=True)
    return {
        name: {
            "median": statistics.median(values),
            "slowest": min(values),
            "fastest": max(values),
            "cpu_seconds": statistics.median(processor[name]),
            "nll": sums[name],
        }
        for name, values in rates.items()
    }


def main() -> None:
    """Print the tables and write the numbers as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=500, help="rows for the cost of perplexity")
    parser.add_argument("--prompts", type=int, default=100, help="prompts for the cost of answers")
    parser.add_argument("--compared-rows", type=int, default=60, help="of these rows, spread evenly, beside lm-eval")
    parser.add_argument("--repeats", type=int, default=3, help="runs of each way beside lm-eval")
    parser.add_argument("--json", type=Path, default=Path("evaluation_benchmark.json"), help="where the numbers go")
    args = parser.parse_args()
    os.environ["TQDM_DISABLE"] = "1"  # lm-eval's bars would run through the progress lines
    quiet()
    settings = load_settings("tiny")
    source, records = rows(args.rows)
    result: dict[str, Any] = {"rows_from": source}
    with tempfile.TemporaryDirectory() as name:
        base, adapter = make_arms(Path(name))
        tokenizer, arms = load_tokenizer(base), {"base": load_arm(base, None), "tuned": load_arm(base, adapter)}
        texts = encode(tokenizer, records, longest=2048)
        batch_size = settings.perplexity.batch_size
        some = texts[:: max(1, len(texts) // args.compared_rows)]
        tokens = sum(len(text.ids) - 1 for text in some)
        print(f"Likelihoods of {len(some)} {source} rows, {tokens:,} tokens, batches of {batch_size}")
        result["likelihoods"] = compare(
            likelihood_ways(arms["tuned"], tokenizer, some, batch_size), tokens, args.repeats
        )

        started = time.perf_counter()
        for arm in ARMS:
            measure_texts(arms[arm], tokenizer, texts, batch_size, lambda line: print(f"  {line}", flush=True))
        seconds = time.perf_counter() - started
        result["perplexity"] = cost(len(texts), seconds)

        prompts = read_prompts(project_root() / settings.answers.prompts, args.prompts)
        answers = settings.answers.model_copy(update={"max_prompts": args.prompts})
        started = time.perf_counter()
        for arm, own in zip(ARMS, (None, adapter), strict=True):
            work = Path(name) / "work" / arm
            generate_answers(
                base,
                own,
                prompts,
                answers,
                engine_settings(settings),
                work,
                lambda line: print(f"  {line}", flush=True),
            )
        result["answers"] = cost(len(prompts), time.perf_counter() - started) | {
            "max_new_tokens": answers.max_new_tokens
        }

    show(result)
    args.json.write_text(json.dumps(result, indent=1), encoding="utf-8")
    print(f"\nnumbers in {args.json}")


def cost(examples: int, seconds: float) -> dict[str, float]:
    """Seconds in all and per example, base and tuned together."""
    return {"examples": examples, "arms": len(ARMS), "seconds": seconds, "seconds_per_example": seconds / examples}


def show(result: dict[str, Any]) -> None:
    """Print the tables."""
    print(f"\n{'likelihoods':20} {'tokens/s, median':>18} {'slowest to fastest':>22} {'CPU s':>8} {'sum of nll':>14}")
    for name, rate in result["likelihoods"].items():
        spread = f"{rate['slowest']:,.0f} to {rate['fastest']:,.0f}"
        print(f"{name:20} {rate['median']:18,.0f} {spread:>22} {rate['cpu_seconds']:8,.1f} {rate['nll']:14,.1f}")
    print(f"\n{'cost, base and tuned':20} {'examples':>10} {'in all':>14} {'per example':>14}")
    for name in ("perplexity", "answers"):
        spent = result[name]
        each = f"{spent['seconds_per_example']:.3f} s"
        print(f"{name:20} {spent['examples']:10,} {duration(spent['seconds']):>14} {each:>14}")


if __name__ == "__main__":
    main()
