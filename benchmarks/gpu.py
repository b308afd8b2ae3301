"""What the benchmarks on a GPU share: random weights of the 7B shape, and arms that run in processes of their own.

Belongs here: the options that all of them have, making the weights, running one arm after the other.
Does not belong here: what an arm is and what its table shows (training.py, generation.py, exams.py, evaluation.py).
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from medcot_pipeline.support.json_files import read_json, write_json

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
"""Of DeepSeek-R1-Distill-Qwen-7B."""


def say(line: str) -> None:
    """Print at once."""
    print(line, flush=True)


def add_options(parser: argparse.ArgumentParser, name: str) -> None:
    """What every one of them can be told; `name`: of the benchmark, for its file."""
    parser.add_argument("--limit-gb", type=float, default=24.0, help="GPU memory, 10^9 bytes, CUDA's own counted")
    parser.add_argument("--rows", type=Path, default=Path(os.environ.get("MEDCOT_REALDATA", "../shared/data")))
    parser.add_argument("--model", type=Path, default=Path("build/benchmarks/random-7b"))
    parser.add_argument("--out", type=Path, default=Path(f"build/benchmarks/{name}.json"))


def chinese_rows(rows: Path) -> Path:
    """The file of genuine rows that `--rows` names, itself or by its folder."""
    return rows / "medical_o1_zh.json" if rows.is_dir() else rows


def make_random_model(folder: Path) -> None:
    """Write random weights of the exact shape where there are none, in a process that gives the GPU's memory back."""
    if not (folder / "config.json").is_file():
        make = "import pathlib, sys; from benchmarks.gpu import write_model; write_model(pathlib.Path(sys.argv[1]))"
        subprocess.run([sys.executable, "-c", make, str(folder)], check=True)


def write_model(folder: Path) -> None:
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


def run_arms(
    name: str, given: Mapping[str, Sequence[str]], out: Path, table: Callable[[list[dict[str, Any]]], str]
) -> list[dict[str, Any]]:
    """Run each arm in a process of its own, which writes its numbers; the table is printed as it grows.

    Args:
        name: of the benchmark's module.
        given: what its process is given, by arm.
        out: where all numbers go; those of an arm beside it.
        table: of the arms that are done.

    Returns:
        The numbers of every arm that did not fail.
    """
    results: list[dict[str, Any]] = []
    # One growing pool instead of blocks of fixed sizes: widths differ.
    environment = os.environ | {"PYTORCH_CUDA_ALLOC_CONF": "expandable_segments:True"}
    for arm, arguments in given.items():
        part = out.with_name(f"{name}-{arm}.json")
        command = [sys.executable, "-m", f"benchmarks.{name}", *arguments, "--out", str(part)]
        if subprocess.run(command, env=environment).returncode != 0:
            say(f"{arm}: failed")
            continue
        results.append(read_json(part))
        write_json(out, results)
        say(table(results))
    return results
