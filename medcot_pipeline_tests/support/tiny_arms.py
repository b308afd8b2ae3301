"""A base model as an artifact and an adapter on it, both with random weights, for tests that need no whole chain.

Belongs here: making them.
Does not belong here: models without a tokenizer (small_decoders.py).
"""

from pathlib import Path

from medcot_pipeline.models.base import base_folder, prepare_base_model
from medcot_pipeline.settings import BaseModelSettings


def tiny_arms(folder: Path) -> tuple[Path, Path]:
    """The folders of the base model's artifact and of an adapter that changes what it writes."""
    from transformers import AutoModelForCausalLM

    from medcot_pipeline_tests.support.small_decoders import with_lora

    base, adapter = folder / "base", folder / "adapter"
    base.mkdir(parents=True)
    settings = BaseModelSettings(kind="tiny_random", tiny_hidden=32, tiny_layers=1)
    prepare_base_model(settings, base, folder / "cache", folder, lambda line: None)
    with_lora(AutoModelForCausalLM.from_pretrained(base_folder(base))).save_pretrained(adapter)
    return base, adapter
