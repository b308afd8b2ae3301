"""Noise that is drawn by counting, and the nucleus that a token is drawn from."""

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from medcot_pipeline.inference.local.operations.host import LIKELIEST, choose
from medcot_pipeline.inference.local.operations.noise import gumbel_noise, mix
from medcot_pipeline.inference.local.rows import SEED, STEP, TABLE, TEMPERATURE, TOP_P

WORDS = st.integers(0, 2**32 - 1)


def mixed(word: int) -> int:
    """MurmurHash3's finaliser in Python's integers."""
    word = (word ^ word >> 16) * 0x85EBCA6B % 2**32
    word = (word ^ word >> 13) * 0xC2B2AE35 % 2**32
    return word ^ word >> 16


def lines(count: int, temperature: float, top_p: float, seed: int = 0) -> Any:
    """Rows' state, each with a seed of its own."""
    state = torch.zeros(count, TABLE + 1, dtype=torch.int32)
    state[:, SEED] = torch.arange(seed, seed + count)
    state[:, TEMPERATURE] = torch.tensor(temperature).view(torch.int32)
    state[:, TOP_P] = torch.tensor(top_p).view(torch.int32)
    return state


@given(st.lists(WORDS, min_size=1, max_size=8))
def test_the_hash_is_murmurs_to_the_bit(words: list[int]) -> None:
    assert mix(torch.tensor(words)).tolist() == [mixed(word) for word in words]


@given(WORDS, st.integers(0, 5000), st.integers(0, 200_000))
@settings(max_examples=30)
def test_noise_depends_on_seed_step_and_token_alone(seed: int, step: int, token: int) -> None:
    signed = torch.tensor([seed if seed < 2**31 else seed - 2**32], dtype=torch.int32)
    alone = gumbel_noise(signed, torch.tensor([step]), torch.tensor([[token]]))
    beside = gumbel_noise(
        torch.tensor([1, seed, 2]), torch.tensor([9, step, 9]), torch.tensor([[0, token], [5, token], [token, token]])
    )
    assert alone[0, 0] == beside[1, 1]


def test_noise_is_gumbels() -> None:
    noise = gumbel_noise(torch.arange(50), torch.arange(50), torch.arange(4000)[None].expand(50, -1)).double()
    count = noise.numel()
    assert torch.isfinite(noise).all()
    for at in (-1.0, 0.0, 1.0, 3.0):
        share, expected = float((noise <= at).double().mean()), math.exp(-math.exp(-at))
        assert abs(share - expected) < 5 * math.sqrt(expected * (1 - expected) / count)
    assert abs(torch.corrcoef(noise)[~torch.eye(50, dtype=torch.bool)]).max() < 5 / math.sqrt(4000)
    assert abs(torch.corrcoef(torch.stack([noise[:, 1:].flatten(), noise[:, :-1].flatten()]))[0, 1]) < 0.02


@pytest.mark.parametrize(("temperature", "top_p"), [(1.0, 1.0), (0.6, 0.95), (1.5, 0.5)])
def test_tokens_are_drawn_with_their_probability_within_the_nucleus(temperature: float, top_p: float) -> None:
    torch.manual_seed(0)
    logits = torch.randn(40) * 2
    probability = (logits.double() / temperature).softmax(-1)
    order = probability.argsort(descending=True)
    before = probability[order].cumsum(0) - probability[order]
    inside = order[before < top_p]
    expected = torch.zeros(40, dtype=torch.float64)
    expected[inside] = probability[inside] / probability[inside].sum()
    draws = 20_000
    drawn = choose(logits.expand(draws, -1), lines(draws, temperature, top_p))
    share = torch.bincount(drawn, minlength=40).double() / draws
    assert (share[expected == 0] == 0).all()
    assert (abs(share - expected) <= 5 * (expected * (1 - expected) / draws).sqrt() + 1e-9).all()


def test_a_nucleus_wider_than_what_is_looked_at_first_is_whole() -> None:
    size = 4 * LIKELIEST
    drawn = choose(torch.linspace(0, 0.1, size).expand(400, -1), lines(400, 1.0, 0.9))
    assert drawn.min() < 0.15 * size
    assert drawn.min() >= 0.09 * size
    assert drawn.max() > 0.9 * size


def test_a_row_is_drawn_the_same_whatever_its_neighbours_need() -> None:
    torch.manual_seed(0)
    logits = torch.randn(6, 4 * LIKELIEST)
    logits[:3] *= 8
    logits[3:] *= 0.01
    state = lines(6, 0.7, 0.95)
    together = choose(logits, state)
    assert together.tolist() == [int(choose(logits[row : row + 1], state[row : row + 1])[0]) for row in range(6)]


def test_temperature_zero_takes_the_likeliest_beside_rows_that_draw() -> None:
    torch.manual_seed(0)
    logits, state = torch.randn(8, 100), lines(8, 1.0, 0.9)
    state[::2, TEMPERATURE] = 0
    assert choose(logits, state)[::2].tolist() == logits[::2].argmax(-1).tolist()


def test_another_step_draws_other_tokens() -> None:
    logits, state = torch.zeros(200, 1000), lines(200, 1.0, 1.0)
    first = choose(logits, state)
    state[:, STEP] += 1
    assert int((first == choose(logits, state)).sum()) < 10
