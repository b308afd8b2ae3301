"""What comes of a row does not depend on the rows beside it in its line."""

import itertools
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medcot_pipeline.evaluation.perplexity.packing.likelihood import LineBudget, fill_lines, token_nll
from medcot_pipeline.models import products
from medcot_pipeline.support.errors import MedcotError

VOCABULARY = 300
ROWS = [[5, 9, 2, 40, 7], [1, 2], [3] * 17, list(range(30, 60)), [8], [(7 * n) % 290 for n in range(90)]]


@pytest.fixture(scope="module", params=["llama", "qwen2"])
def model(request: Any) -> Any:
    """A decoder of a few thousand random weights whose likelihoods are far apart."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    torch.manual_seed(0)
    config = AutoConfig.for_model(
        request.param,
        vocab_size=VOCABULARY,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        initializer_range=0.3,
    )
    return AutoModelForCausalLM.from_config(config).eval()


def plain(model: Any, ids: list[int]) -> list[float]:
    """By a forward pass of transformers over this row alone, and PyTorch's own cross-entropy."""
    import torch

    with torch.no_grad():
        row = torch.tensor([ids])
        scores = model(input_ids=row, use_cache=False).logits[0, :-1]
        return list(torch.nn.functional.cross_entropy(scores, row[0, 1:], reduction="none").tolist())


def silent(tokens: int) -> LineBudget:
    return LineBudget(tokens, lambda line: None)


@given(st.lists(st.integers(1, 60), max_size=40), st.integers(1, 100))
def test_lines_hold_every_row_once_and_no_more_than_the_budget(lengths: list[int], budget: int) -> None:
    lines = fill_lines(lengths, budget)
    assert sorted(itertools.chain(*lines)) == list(range(len(lengths)))
    assert all(len(line) == 1 or sum(lengths[number] for number in line) <= budget for line in lines)


@given(st.lists(st.integers(1, 60), max_size=40), st.integers(1, 100))
def test_lines_are_half_full_but_for_one_at_most(lengths: list[int], budget: int) -> None:
    sums = [sum(lengths[number] for number in line) for line in fill_lines(lengths, budget)]
    assert sum(2 * tokens <= budget for tokens in sums) <= 1


@pytest.mark.parametrize("budget", [0, 1, 40, 64, 1000])
@pytest.mark.parametrize("chunk", [1, 7, 1000])
def test_every_token_is_as_likely_as_in_a_plain_pass_of_its_row(
    model: Any, budget: int, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(products.CHUNK_BYTES, "cpu", 4 * VOCABULARY * chunk)
    for losses, ids in zip(token_nll(model, ROWS, silent(budget)), ROWS, strict=True):
        assert losses.tolist() == pytest.approx(plain(model, ids), abs=1e-4)


@settings(max_examples=25)
@given(st.permutations(range(len(ROWS))), st.integers(0, 200))
def test_rows_in_any_order_have_the_same_likelihoods(model: Any, order: list[int], budget: int) -> None:
    expected = token_nll(model, ROWS, silent(1000))
    for number, losses in zip(order, token_nll(model, [ROWS[each] for each in order], silent(budget)), strict=True):
        assert losses.tolist() == pytest.approx(expected[number].tolist(), abs=1e-4)


def test_a_neighbour_changes_nothing(model: Any) -> None:
    one = token_nll(model, [ROWS[5], ROWS[3], ROWS[0]], silent(1000))
    other = token_nll(model, [ROWS[5], ROWS[3][::-1], ROWS[0]], silent(1000))
    assert one[0].tolist() == pytest.approx(other[0].tolist(), abs=1e-6)
    assert one[2].tolist() == pytest.approx(other[2].tolist(), abs=1e-6)


def test_the_model_is_left_with_its_own_attention(model: Any) -> None:
    token_nll(model, ROWS, silent(64))
    assert model.config._attn_implementation == "sdpa"


class SmallMemory:
    """A device that holds so many tokens, before the decoder of a model: what runs out is said as PyTorch says it."""

    def __init__(self, model: Any, tokens: int) -> None:
        import torch

        def refuse(module: Any, given: Any, named: dict[str, Any]) -> None:
            if named["input_ids"].numel() > tokens:
                raise torch.OutOfMemoryError("CUDA out of memory.")

        self._hook = model.model.register_forward_pre_hook(refuse, with_kwargs=True)

    def __enter__(self) -> "SmallMemory":
        return self

    def __exit__(self, *error: object) -> None:
        self._hook.remove()


def test_memory_that_runs_out_makes_lines_shorter_and_nothing_is_lost(model: Any) -> None:
    said: list[str] = []
    told: list[int] = []
    budget = LineBudget(1000, said.append)
    with SmallMemory(model, 100):
        losses = token_nll(model, ROWS, budget, told.append)
    assert said == [
        "out of GPU memory: lines of 72 tokens from here on; a lower MEDCOT_INFERENCE__MAX_GPU_MEMORY_GB plans for "
        "them from the start"
    ]
    assert (budget.tokens, budget.lowered) == (72, True)
    assert sum(told) == sum(map(len, ROWS))
    for own, ids in zip(losses, ROWS, strict=True):
        assert own.tolist() == pytest.approx(plain(model, ids), abs=1e-4)


def test_a_row_that_does_not_fit_alone_is_one_line(model: Any) -> None:
    with SmallMemory(model, 80), pytest.raises(MedcotError, match="out of GPU memory with a single row of 90 tokens"):
        token_nll(model, ROWS, silent(100))
