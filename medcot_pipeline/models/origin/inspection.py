"""Looking into a model's folder: whether transformers loads it by itself, and whether its tokenizer fits the format.

Belongs here: loading without numbers, counting parameters, the tokenizer's problems.
Does not belong here: whether the files are whole (folder.py).
"""

import contextlib
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from medcot_pipeline.chat import PLACEHOLDER, render_prompt, tokenizer_problems
from medcot_pipeline.models.load import load_empty, load_tokenizer
from medcot_pipeline.models.origin.folder import COPY_AGAIN, own_code, read_object, weight_files
from medcot_pipeline.support.errors import MedcotError


def inspect_model(folder: Path) -> dict[str, Any]:
    """Number of parameters, and whether the tokenizer fits the format.

    Raises:
        MedcotError: configuration, weights and tokenizer do not make a model that transformers loads by itself, or the
            tokenizer has no chat template.
    """
    from safetensors import safe_open

    with _loading(folder / "config.json"):
        model, report = load_empty(folder)
    if report["missing_keys"]:
        lacking = sorted(report["missing_keys"])
        raise MedcotError(
            f"{folder}: {len(lacking)} of the tensors that config.json asks for are missing, such as {lacking[0]}.",
            COPY_AGAIN,
        )
    parameters = 0
    for path in weight_files(folder):
        with safe_open(path, framework="pt") as tensors:
            for name in tensors.keys():  # noqa: SIM118 - not a dict
                parameters += math.prod(tensors.get_slice(name).get_shape())
    with _loading(folder / "tokenizer_config.json"):
        tokenizer = load_tokenizer(folder)
        problems = tokenizer_problems(tokenizer)
    if not tokenizer.chat_template:
        raise MedcotError(
            f"{folder}: its tokenizer has no chat template.",
            "Use an instruct model, or set chat_template in its tokenizer_config.json.",
        )
    ends = model.config.eos_token_id
    if ends is not None and tokenizer.eos_token_id not in (ends if isinstance(ends, list) else [ends]):
        problems.append(
            f"its end token is {tokenizer.eos_token} ({tokenizer.eos_token_id}), but eos_token_id in config.json is "
            f"{ends}: set the one that ends an answer in both, config.json and tokenizer_config.json"
        )
    return {
        "parameters": parameters,
        "tokenizer_problems": problems,
        "generation_prompt": render_prompt(tokenizer, PLACEHOLDER),
    }


@contextlib.contextmanager
def _loading(configuration: Path) -> Iterator[None]:
    """Whatever a library says of what a configuration file describes becomes one line; code of the folder is named."""
    try:
        yield
    except Exception as error:  # they raise errors of every kind over a wrong file
        code, kind = own_code(configuration), read_object(configuration.with_name("config.json")).get("model_type")
        if code and isinstance(error, ValueError):
            raise MedcotError(
                f"{configuration}: needs code of its own (auto_map: {', '.join(code)}), which is never run: "
                f"transformers itself does not know the type {kind!r}.",
                "Set MEDCOT_BASE_MODEL__PATH to a model that transformers loads without further code.",
            ) from error
        detail = " ".join(str(error).split())[:200]
        raise MedcotError(
            f"{configuration.parent}: cannot be loaded as {configuration.name} describes it "
            f"({error.__class__.__name__}: {detail}).",
            COPY_AGAIN,
        ) from error
