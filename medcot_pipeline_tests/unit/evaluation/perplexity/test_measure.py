from typing import Any

import polars as pl
import pytest

from medcot_pipeline.evaluation.perplexity.compare import largest_difference
from medcot_pipeline.evaluation.perplexity.measure import MeasuredTokens, measure_texts, tokens_of
from medcot_pipeline.evaluation.perplexity.packing.likelihood import LineBudget
from medcot_pipeline.evaluation.perplexity.texts import Piece, Text
from medcot_pipeline_tests.support.byte_tokenizer import byte_tokenizer

ROWS = [[5, 9, 2, 40, 7], [1, 2], [3] * 17, list(range(30, 60))]


@pytest.fixture(scope="module")
def arms() -> Any:
    """A Llama of a few thousand random weights with an adapter that changes it."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=300, hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2
    )
    adapter = LoraConfig(target_modules="all-linear", init_lora_weights=False)
    return get_peft_model(LlamaForCausalLM(config), adapter).eval()


def library_nll(model: Any, ids: list[int]) -> float:
    """The sum by transformers' own loss."""
    import torch

    with torch.no_grad():
        row = torch.tensor([ids])
        return float(model(input_ids=row, labels=row).loss) * (len(ids) - 1)


def measured(model: Any, texts: list[Text], tokens: int = 32) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The tables of some texts in lines of so many tokens."""
    return measure_texts(model, texts, LineBudget(tokens, lambda line: None), lambda tokens: None)


def texts_of(rows: list[list[int]]) -> list[Text]:
    """A text of each row, whose first token is given."""
    return [
        Text(
            "test",
            str(n),
            "zh",
            "g",
            {"prompt": Piece(ids[:1], [False], 0), "text": Piece(ids[1:], [True] * len(ids[1:]), len(ids) - 1)},
        )
        for n, ids in enumerate(rows)
    ]


def test_segments_add_up_to_the_whole_and_marks_are_no_text(arms: Any) -> None:
    tokenizer = byte_tokenizer()
    end = tokenizer.eos_token_id
    prompt, reasoning = Piece([3, 4], [False] * 2, 0), Piece([5, 6, 7], [True] * 3, 3)
    answer = Piece([8, end], [True, False], 1)
    texts = [Text("test", "a", "zh", "g", {"prompt": prompt, "reasoning": reasoning, "answer": answer})]
    examples, tokens = measured(arms, texts)
    tuned = {row["segment"]: row for row in examples.to_dicts()}
    assert sum(row["nll"] for row in tuned.values()) == pytest.approx(library_nll(arms, texts[0].ids), rel=1e-5)
    assert {name: row["tokens"] for name, row in tuned.items()} == {"prompt": 1, "reasoning": 3, "answer": 2}
    assert tuned["reasoning"]["text_nll"] == tuned["reasoning"]["nll"]
    assert tuned["answer"]["text_nll"] < tuned["answer"]["nll"], "the end token is no text"
    assert {name: row["text_tokens"] for name, row in tuned.items()} == {"prompt": 0, "reasoning": 3, "answer": 1}
    assert tuned["answer"]["bytes"] == 1
    assert sum(tokens["nll"].item()) == pytest.approx(library_nll(arms, texts[0].ids), rel=1e-5)


def base_and_tuned(arms: Any) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The loss of every token of the rows under the base and under the base with the adapter."""
    _, tuned = measured(arms, texts_of(ROWS))
    with arms.disable_adapter():
        _, base = measured(arms, texts_of(ROWS))
    return base, tuned


def test_the_largest_difference_is_that_of_one_token(arms: Any) -> None:
    base, tuned = base_and_tuned(arms)
    every = [
        abs(one - other)
        for losses, others in zip(base["nll"].to_list(), tuned["nll"].to_list(), strict=True)
        for one, other in zip(losses, others, strict=True)
    ]
    assert largest_difference(base, tuned) == max(every) > 0


def test_an_adapter_without_effect_has_a_difference_of_0(arms: Any) -> None:
    import torch

    weights = {name: weight.clone() for name, weight in arms.state_dict().items()}
    try:
        with torch.no_grad():
            for name, weight in arms.named_parameters():
                if "lora_B" in name:
                    weight.zero_()
        assert largest_difference(*base_and_tuned(arms)) == 0.0
    finally:
        arms.load_state_dict(weights)


def test_texts_in_any_order_have_the_same_tables(arms: Any) -> None:
    texts = texts_of(ROWS)
    for one, other in zip(measured(arms, texts), measured(arms, texts[::-1]), strict=True):
        assert one.equals(other)


def test_progress_counts_the_tokens_of_all_texts(arms: Any) -> None:
    texts, told = texts_of(ROWS), list[int]()
    measure_texts(arms, texts, LineBudget(32, lambda line: None), told.append)
    assert sum(told) == tokens_of(texts) == sum(map(len, ROWS))
    assert len(told) > 1


def test_progress_is_said_in_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter((0.0, 10.0, 20.0))
    monkeypatch.setattr("time.monotonic", lambda: next(clock))
    said: list[str] = []
    measured_tokens = MeasuredTokens(4000, said.append)
    measured_tokens(1000)
    measured_tokens(1000)
    assert said == [
        "perplexity: 1,000 of 4,000 (25%), tokens",
        "perplexity: 2,000 of 4,000 (50%), 20 s left, tokens",
    ]
