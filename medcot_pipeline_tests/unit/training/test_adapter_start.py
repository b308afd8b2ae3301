"""The adapter's first weights follow from the seed alone, so that engines and devices learn the same."""

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import Qwen2Config, Qwen2ForCausalLM

from medcot_pipeline.training.engines import start_adapter


def adapter(torch_seed: int, seed: int, dtype: torch.dtype = torch.float32) -> dict[str, torch.Tensor]:
    """Weights of an adapter over a small model that was made after `torch_seed`."""
    torch.manual_seed(torch_seed)
    config = Qwen2Config(
        vocab_size=50,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
    )
    model = get_peft_model(Qwen2ForCausalLM(config), LoraConfig(r=4, target_modules=["q_proj", "down_proj"]))
    for weight in model.parameters():
        weight.data = weight.data.to(dtype).float()  # as a trainer may prepare it
    start_adapter(model, seed)
    return {name: weight.detach() for name, weight in model.named_parameters() if weight.requires_grad}


def test_the_start_depends_on_neither_what_was_drawn_before_nor_how_the_model_was_prepared() -> None:
    first, second = adapter(1, 7), adapter(2, 7, torch.bfloat16)
    assert len(first) == 8
    for name, weight in first.items():
        assert torch.equal(weight, second[name]), name


def test_another_seed_and_another_module_start_elsewhere() -> None:
    first, second = adapter(1, 7), adapter(1, 8)
    ways = [weight for weights in (first, second) for name, weight in weights.items() if "q_proj.lora_A" in name]
    assert len({tuple(weight.flatten().tolist()) for weight in ways}) == 4


def test_the_start_changes_nothing_of_the_base_and_is_spread_as_peft_spreads_it() -> None:
    for name, weight in adapter(1, 7).items():
        if "lora_B" in name:
            assert not weight.any()
        else:
            bound = weight.shape[1] ** -0.5
            assert weight.abs().max() <= bound
            assert float(weight.std()) == pytest.approx(bound / 3**0.5, rel=0.15)
