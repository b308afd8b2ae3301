"""The loss and the gradient do not depend on how rows are cut."""

from typing import Any

import pytest
import torch
from transformers import Qwen2Config, Qwen2ForCausalLM

from medcot_pipeline.chat.encode import IGNORED_LABEL
from medcot_pipeline.models import logits as logits_module
from medcot_pipeline.training.rows import TrainingRow
from medcot_pipeline.training.steps.attention import Packing, packed, use_in_transformers, varlen_attention
from medcot_pipeline.training.steps.batches import Batching, Cutting
from medcot_pipeline.training.steps.loss import completion_loss
from medcot_pipeline.training.steps.micro_batch import labels, tensors

VOCABULARY = 211


@pytest.fixture(scope="module")
def model() -> Any:
    torch.manual_seed(0)
    config = Qwen2Config(
        vocab_size=VOCABULARY,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        initializer_range=0.2,
        attn_implementation=use_in_transformers(),
    )
    return Qwen2ForCausalLM(config).double()


@pytest.fixture(scope="module")
def rows() -> list[TrainingRow]:
    draw = torch.Generator().manual_seed(1)
    made: list[TrainingRow] = []
    for tokens in (9, 33, 14, 21, 5, 28, 17):
        ids = torch.randint(0, VOCABULARY, (tokens,), generator=draw).tolist()
        made.append(TrainingRow(ids, [IGNORED_LABEL] * 3 + ids[3:]))
    return made


def step(model: Any, rows: list[TrainingRow], batching: Batching, budget: int) -> tuple[float, torch.Tensor]:
    """Loss of one optimiser step, and the gradient of the embeddings."""
    model.zero_grad()
    total, count = 0.0, labels(rows)
    for batch in Cutting(batching, 3, budget).cut(rows):
        inputs = tensors(batch, 0)
        wanted, boundaries = inputs.pop("labels"), inputs.pop("boundaries", None)
        with packed(None if boundaries is None else Packing(boundaries, 40)):
            hidden = model.model(**inputs, use_cache=False).last_hidden_state
        part = completion_loss(hidden, model.lm_head.weight.detach(), wanted, torch.tensor(float(count)))
        part.backward()
        total += float(part.detach())
    return total, model.model.embed_tokens.weight.grad.clone()


@pytest.fixture(scope="module")
def one_by_one(model: Any, rows: list[TrainingRow]) -> tuple[float, torch.Tensor]:
    """The same, by PyTorch's own cross-entropy over each row by itself."""
    model.zero_grad()
    total = torch.zeros((), dtype=torch.float64)
    for row in rows:
        logits = model(input_ids=torch.tensor([row.input_ids]), use_cache=False).logits[0, :-1]
        total += torch.nn.functional.cross_entropy(logits, torch.tensor(row.labels[1:]), reduction="sum")
    loss = total / labels(rows)
    loss.backward()  # type: ignore[no-untyped-call]
    return float(loss.detach()), model.model.embed_tokens.weight.grad.clone()


@pytest.mark.parametrize("batching", ["rows", "tokens", "packed"])
@pytest.mark.parametrize("budget", [64, 256])
def test_however_a_step_is_cut_its_gradient_is_that_of_its_rows(
    model: Any, rows: list[TrainingRow], one_by_one: tuple[float, torch.Tensor], batching: Batching, budget: int
) -> None:
    loss, gradient = step(model, rows, batching, budget)
    assert loss == pytest.approx(one_by_one[0], rel=1e-5)
    assert torch.allclose(gradient, one_by_one[1], atol=1e-5 * float(one_by_one[1].abs().max()))


def test_chunks_do_not_show_in_the_loss(
    model: Any, rows: list[TrainingRow], one_by_one: tuple[float, torch.Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(logits_module.CHUNK_BYTES, "cpu", 4 * VOCABULARY * 5)
    assert step(model, rows, "tokens", 256)[0] == pytest.approx(one_by_one[0], rel=1e-5)


def test_without_labels_there_is_no_loss() -> None:
    hidden = torch.randn(1, 4, 8, requires_grad=True)
    loss = completion_loss(hidden, torch.randn(9, 8), torch.full((1, 4), IGNORED_LABEL), torch.tensor(1.0))
    loss.backward()
    assert float(loss.detach()) == 0.0
    assert hidden.grad is not None
    assert not hidden.grad.any()


def test_a_segment_sees_itself_alone() -> None:
    query, key, value = (torch.randn(12, heads, 8) for heads in (4, 2, 2))
    boundaries = torch.tensor([0, 5, 5, 12], dtype=torch.int32)
    before = varlen_attention(query, key, value, boundaries, 12)
    value[:5] += 1.0
    after = varlen_attention(query, key, value, boundaries, 12)
    assert torch.equal(before[5:], after[5:])
    assert not torch.equal(before[:5], after[:5])


def test_outside_of_packing_attention_is_the_ordinary_one(model: Any, rows: list[TrainingRow]) -> None:
    ids = torch.tensor([rows[1].input_ids])
    ours = model(input_ids=ids, use_cache=False).logits
    model.set_attn_implementation("sdpa")
    assert torch.allclose(model(input_ids=ids, use_cache=False).logits, ours)
    model.set_attn_implementation(use_in_transformers())
