"""Two ways to a trainable NF4 model with LoRA on all linear layers: plain transformers with PEFT, or Unsloth.

Belongs here: choosing an engine, making its model, the adapter's first weights.
Does not belong here: its trainer (trainers.py), the training loop (steps/trainer.py).
"""

import importlib.util
from pathlib import Path
from typing import Any

from medcot_pipeline.artifacts.identity import sha256_text
from medcot_pipeline.models.devices import device
from medcot_pipeline.models.load import load_base
from medcot_pipeline.settings import TrainingSettings
from medcot_pipeline.support.errors import MedcotError
from medcot_pipeline.support.progress import Say
from medcot_pipeline.training.plan.training_plan import Engine, TrainingPlan
from medcot_pipeline.training.steps.attention import use_in_transformers, use_in_unsloth

LINEAR_LAYERS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


def choose_engine(settings: TrainingSettings, say: Say) -> Engine:
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
        say("unsloth is not installed: training with plain transformers, at about 60 % of the speed (install '.[gpu]')")
    use_unsloth = settings.engine == "unsloth" or (settings.engine == "auto" and installed and device() == "cuda")
    return "unsloth" if use_unsloth else "hf"


def trainable_model(base: Path, settings: TrainingSettings, plan: TrainingPlan) -> Any:
    """The NF4 base with a LoRA adapter on all linear layers, as planned; `start_adapter` gives it its first weights."""
    return _unsloth_model(base, settings, plan) if plan.engine == "unsloth" else _hf_model(base, settings, plan)


def start_adapter(model: Any, seed: int) -> None:
    """Give the adapter the weights that every engine and device begins with.

    B is zero, and A uniform within +-1/sqrt(inputs), as PEFT draws it (He et al. 2015, with a = sqrt(5)); but drawn on
    the CPU for each module by its name, so that the start depends on the seed alone.

    Args:
        model: a PEFT model with a LoRA adapter, as the trainer has prepared it.
        seed: of the run.
    """
    import torch

    for name, weight in model.named_parameters():
        if "lora_B" in name:
            weight.data.zero_()
        elif "lora_A" in name:
            drawn = torch.Generator().manual_seed(int(sha256_text(f"{seed}\0{name}")[:15], 16))
            bound = weight.shape[1] ** -0.5
            weight.data.copy_(torch.empty(weight.shape).uniform_(-bound, bound, generator=drawn))


def _hf_model(base: Path, settings: TrainingSettings, plan: TrainingPlan) -> Any:
    from peft import LoraConfig, get_peft_model

    attention = use_in_transformers() if plan.batching == "packed" else "sdpa"
    # Not PEFT's prepare_model_for_kbit_training: it makes embeddings and head float32, 2.2 GB more for the 7B.
    model = load_base(base, training=True, attention=attention)
    config = LoraConfig(
        r=settings.lora_rank,
        lora_alpha=settings.lora_alpha,
        lora_dropout=settings.lora_dropout,
        target_modules=list(LINEAR_LAYERS),
        task_type="CAUSAL_LM",
    )
    model = get_peft_model(model, config)
    if plan.checkpointed_layers:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        model.enable_input_require_grads()
        whole = model.get_base_model().model.layers[plan.checkpointed_layers :]
        for layer in whole:
            layer.gradient_checkpointing = False
    return model


def _unsloth_model(base: Path, settings: TrainingSettings, plan: TrainingPlan) -> Any:
    from unsloth import FastLanguageModel

    use_in_unsloth()
    model, _ = FastLanguageModel.from_pretrained(
        str(base),
        max_seq_length=max(plan.longest_row, plan.token_budget),  # it cuts longer lines
        load_in_4bit=True,
        use_exact_model_name=True,  # else Unsloth trains on another repository's quantised copy
        trust_remote_code=False,
    )
    return FastLanguageModel.get_peft_model(
        model,
        r=settings.lora_rank,
        lora_alpha=settings.lora_alpha,
        lora_dropout=settings.lora_dropout,
        target_modules=list(LINEAR_LAYERS),
        use_gradient_checkpointing={"none": False, "all": True, "offloaded": "unsloth"}[plan.checkpointing],
        random_state=settings.seed,
    )
