"""Two ways to a trainable NF4 model with LoRA on all linear layers: plain transformers with PEFT, or Unsloth.

Belongs here: choosing an engine, and making its model.
Does not: the training loop (qlora.py).
"""

import importlib.util
from pathlib import Path
from typing import Any, Literal

from medcot_pipeline.errors import MedcotError
from medcot_pipeline.models.load import device, load_base
from medcot_pipeline.progress import Say
from medcot_pipeline.settings import TrainingSettings

LINEAR_LAYERS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


def choose_engine(settings: TrainingSettings, say: Say) -> Literal["hf", "unsloth"]:
    """The engine to use; `auto` takes Unsloth where it is installed and a GPU is there.

    Raises:
        MedcotError: Unsloth is asked for and not installed.
    """
    installed = importlib.util.find_spec("unsloth") is not None
    if settings.engine == "unsloth" and not installed:
        raise MedcotError(
            "MEDCOT_TRAINING__ENGINE=unsloth, but unsloth is not installed.",
            "Install it with `pip install '.[gpu]'`, or set MEDCOT_TRAINING__ENGINE=hf.",
        )
    if settings.engine == "auto" and device() == "cuda" and not installed:
        say("unsloth is not installed: training by plain transformers, at about half its speed (install '.[gpu]')")
    use_unsloth = settings.engine == "unsloth" or (settings.engine == "auto" and installed and device() == "cuda")
    return "unsloth" if use_unsloth else "hf"


def trainable_model(engine: str, base: Path, settings: TrainingSettings, max_row_tokens: int) -> Any:
    """The NF4 base with a fresh LoRA adapter on all linear layers, ready to train."""
    return _unsloth_model(base, settings, max_row_tokens) if engine == "unsloth" else _hf_model(base, settings)


def _hf_model(base: Path, settings: TrainingSettings) -> Any:
    import torch
    from peft import LoraConfig, get_peft_model

    # Not PEFT's prepare_model_for_kbit_training: it makes embeddings and head float32, 2.2 GB more for the 7B.
    model = load_base(base, training=True)
    torch.manual_seed(settings.seed)
    config = LoraConfig(
        r=settings.lora_rank,
        lora_alpha=settings.lora_alpha,
        lora_dropout=settings.lora_dropout,
        target_modules=list(LINEAR_LAYERS),
        task_type="CAUSAL_LM",
    )
    return get_peft_model(model, config)


def _unsloth_model(base: Path, settings: TrainingSettings, max_row_tokens: int) -> Any:
    from unsloth import FastLanguageModel

    model, _ = FastLanguageModel.from_pretrained(
        str(base),
        max_seq_length=max_row_tokens,
        load_in_4bit=True,
        use_exact_model_name=True,  # else Unsloth trains on another repository's quantised copy
    )
    return FastLanguageModel.get_peft_model(
        model,
        r=settings.lora_rank,
        lora_alpha=settings.lora_alpha,
        lora_dropout=settings.lora_dropout,
        target_modules=list(LINEAR_LAYERS),
        use_gradient_checkpointing="unsloth" if settings.gradient_checkpointing else False,
        random_state=settings.seed,
    )
