from typing import Any

import polars as pl
import pytest

from medcot_pipeline.chat import encode_row
from medcot_pipeline.training.rows import ChosenRows, TrainingRow, choose_rows
from medcot_pipeline_tests.support.byte_tokenizer import byte_tokenizer

FRAME = pl.DataFrame(
    {
        "row_id": [f"row-{number}" for number in range(20)],
        "question": [f"Question {number}: 发热{number}天？" for number in range(20)],
        "reasoning": ["想一想。" * (1 + number % 5) for number in range(20)],
        "answer": ["多饮水。" for _ in range(20)],
    }
)


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return byte_tokenizer()


def choose(tokenizer: Any, frame: pl.DataFrame = FRAME, **changes: Any) -> ChosenRows:
    return choose_rows(tokenizer, frame, **{"max_row_tokens": 10_000, "max_tokens": None, "seed": 1, **changes})


def sizes(tokenizer: Any) -> list[int]:
    return [len(encode_row(tokenizer, *row[1:]).input_ids) for row in FRAME.iter_rows()]


def test_without_a_budget_every_row_is_trained_on(tokenizer: Any) -> None:
    chosen = choose(tokenizer)
    assert (len(chosen.rows), chosen.too_long, chosen.over_budget) == (20, 0, 0)
    assert chosen.tokens == sum(sizes(tokenizer))


def test_a_row_is_encoded_as_everywhere(tokenizer: Any) -> None:
    row = FRAME.head(1)
    assert choose(tokenizer, row).rows == [TrainingRow.of(encode_row(tokenizer, *row.row(0)[1:]))]


def test_rows_above_the_limit_are_left_out_and_counted(tokenizer: Any) -> None:
    limit = sorted(sizes(tokenizer))[11]
    chosen = choose(tokenizer, max_row_tokens=limit)
    assert max(len(row) for row in chosen.rows) == limit
    assert chosen.too_long == sum(size > limit for size in sizes(tokenizer))


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_budget_is_kept_and_used(tokenizer: Any, share: float) -> None:
    budget = int(sum(sizes(tokenizer)) * share)
    chosen = choose(tokenizer, max_tokens=budget)
    assert budget - min(sizes(tokenizer)) < chosen.tokens <= budget


def test_rows_over_the_budget_are_counted(tokenizer: Any) -> None:
    chosen = choose(tokenizer, max_tokens=sum(sizes(tokenizer)) // 2)
    assert len(chosen.rows) + chosen.over_budget == 20


def test_a_budget_below_any_row_leaves_none(tokenizer: Any) -> None:
    chosen = choose(tokenizer, max_tokens=min(sizes(tokenizer)) - 1)
    assert (chosen.rows, chosen.over_budget) == ([], 20)


@pytest.mark.parametrize("budget", [None, 1500])
def test_the_choice_does_not_depend_on_the_order_of_the_frame(tokenizer: Any, budget: int | None) -> None:
    shuffled = FRAME.sample(fraction=1.0, shuffle=True, seed=3)
    assert choose(tokenizer, shuffled, max_tokens=budget) == choose(tokenizer, max_tokens=budget)


def test_a_row_that_is_gone_leaves_the_order_of_the_others(tokenizer: Any) -> None:
    gone = TrainingRow.of(encode_row(tokenizer, *FRAME.row(4)[1:]))
    without = choose(tokenizer, FRAME.filter(pl.col("row_id") != "row-4"))
    assert without.rows == [row for row in choose(tokenizer).rows if row != gone]


def test_another_seed_is_another_order(tokenizer: Any) -> None:
    assert choose(tokenizer, seed=2).rows != choose(tokenizer, seed=1).rows


def test_no_rows_are_no_rows(tokenizer: Any) -> None:
    assert choose(tokenizer, FRAME.clear()) == ChosenRows([], 0, 0)
