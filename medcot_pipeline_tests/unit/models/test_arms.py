"""A model of a comparison, loaded for itself: the base alone is the base with an adapter that is switched off."""

from pathlib import Path
from typing import Any

import pytest

from medcot_pipeline.evaluation.perplexity.packing.likelihood import LineBudget, token_nll
from medcot_pipeline.models.arms import load_arm
from medcot_pipeline_tests.support.byte_tokenizer import byte_tokenizer

ROWS = [[5, 9, 2, 40, 7], [1, 2], [3] * 17, list(range(30, 60))]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A base of random weights, and an adapter that changes what it writes."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import Qwen2Config, Qwen2ForCausalLM

    folder = tmp_path_factory.mktemp("models")
    base, adapter, tokenizer = folder / "base", folder / "adapter", byte_tokenizer()
    torch.manual_seed(0)
    config = Qwen2Config(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        eos_token_id=tokenizer.eos_token_id,
    )
    model = Qwen2ForCausalLM(config)
    model.save_pretrained(base)
    tokenizer.save_pretrained(base)
    lora = LoraConfig(r=4, target_modules="all-linear", init_lora_weights=False, task_type="CAUSAL_LM")
    get_peft_model(model, lora).save_pretrained(adapter)
    return base, adapter


def greedy(model: Any) -> list[int]:
    """What the model writes behind a prompt."""
    import torch

    ids = torch.tensor([ROWS[3]], device=model.device)
    with torch.no_grad():
        written = model.generate(
            input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=24, do_sample=False, pad_token_id=0
        )
    return list(written[0].tolist())


def losses(model: Any) -> list[list[float]]:
    """The loss of every token of the rows."""
    return [own.tolist() for own in token_nll(model, ROWS, LineBudget(32, lambda line: None))]


def test_the_base_alone_is_to_the_bit_the_base_with_an_adapter_that_is_switched_off(
    folders: tuple[Path, Path],
) -> None:
    base, adapter = folders
    alone, tuned = load_arm(base, None), load_arm(base, adapter)
    with tuned.disable_adapter():
        assert losses(tuned) == losses(alone)
        assert greedy(tuned) == greedy(alone)
    assert losses(tuned) != losses(alone), "the adapter is there and changes something"
    assert greedy(tuned) != greedy(alone)


def test_an_adapter_that_is_loaded_again_has_the_same_figures(folders: tuple[Path, Path]) -> None:
    base, adapter = folders
    once, again = (losses(load_arm(base, adapter)) for _ in range(2))
    assert once == again
