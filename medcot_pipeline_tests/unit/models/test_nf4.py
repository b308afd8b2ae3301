"""Weights that are unpacked once are the numbers that NF4 stands for, in what is written and in what is learned."""

from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model

from medcot_pipeline.models.load import load_base
from medcot_pipeline.models.logits import output_logits
from medcot_pipeline.models.nf4 import fits_host, is_nf4
from medcot_pipeline_tests.support.small_decoders import VOCABULARY, small_qwen

IDS = torch.arange(40)[None] * 7 % VOCABULARY


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a base of random weights."""
    folder = tmp_path_factory.mktemp("base")
    small_qwen().save_pretrained(folder)
    return folder


def trained_gradients(base: Path, *, unpack: bool) -> tuple[Any, list[Any]]:
    """The loss of a step, and what it would change in an adapter."""
    torch.manual_seed(3)
    lora = LoraConfig(r=4, target_modules="all-linear", init_lora_weights=False, task_type="CAUSAL_LM")
    model = get_peft_model(load_base(base, unpack=unpack), lora)
    loss = model(input_ids=IDS, labels=IDS).loss
    loss.backward()
    return loss, [each.grad for each in model.parameters() if each.requires_grad]


def test_a_step_of_training_is_to_the_bit_the_same_on_unpacked_weights(base: Path) -> None:
    packed, unpacked = trained_gradients(base, unpack=False), trained_gradients(base, unpack=True)
    assert torch.equal(packed[0], unpacked[0])
    assert len(packed[1]) == 28  # two of LoRA on each of seven linear layers of two blocks
    assert all(torch.equal(one, other) for one, other in zip(packed[1], unpacked[1], strict=True))


def test_unpacked_weights_are_frozen_and_none_stays_packed(base: Path) -> None:
    model = load_base(base, unpack=True)
    linear = [each for each in model.modules() if isinstance(each, torch.nn.Linear)]
    assert not any(is_nf4(each) for each in linear)
    assert not any(each.weight.requires_grad for each in linear if each is not model.lm_head)


def test_weights_that_would_fill_the_memory_of_the_host_stay_packed(base: Path) -> None:
    model = load_base(base, unpack=False)
    assert fits_host(model, itemsize=4)
    assert not fits_host(model, itemsize=2**40)


@pytest.mark.parametrize("positions", [1, 7])
def test_logits_are_those_of_the_output_layer(base: Path, positions: int) -> None:
    head, hidden = small_qwen().lm_head, torch.randn(positions, 48)
    assert torch.allclose(output_logits(hidden, head.weight), head(hidden), atol=1e-5)
