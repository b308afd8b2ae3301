import random

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from medcot_pipeline.chat.encode import IGNORED_LABEL
from medcot_pipeline.training.batches import (
    PACKED_WIDTH_MULTIPLE,
    PADDED_WIDTH_MULTIPLE,
    Batching,
    Cutting,
    MicroBatch,
    Row,
    labels,
    length,
    optimizer_steps,
    tensors,
)

BATCHINGS: tuple[Batching, ...] = ("rows", "tokens", "packed")


def row(number: int, tokens: int) -> Row:
    """A row whose ids name it, so that it can be told apart."""
    ids = [number * 1000 + place for place in range(tokens)]
    prompt = max(1, tokens // 5)
    return {"input_ids": ids, "labels": [IGNORED_LABEL] * prompt + ids[prompt:]}


def rows_of(lengths: list[int]) -> list[Row]:
    return [row(number, tokens) for number, tokens in enumerate(lengths, start=1)]


def realistic(count: int) -> list[Row]:
    """Lengths as the genuine rows have them: mean 550, 95 % below 780, at most 1,040."""
    draw = random.Random(5)
    return rows_of([min(1040, max(220, round(draw.gauss(550, 135)))) for _ in range(count)])


def numbers(batches: list[MicroBatch]) -> list[int]:
    return sorted(each["input_ids"][0] for batch in batches for each in batch.rows)


lengths = st.lists(st.integers(2, 400), min_size=1, max_size=60)


@pytest.mark.parametrize("batching", BATCHINGS)
@given(lengths=lengths, budget=st.integers(64, 1500))
def test_every_row_is_in_one_micro_batch(batching: Batching, lengths: list[int], budget: int) -> None:
    rows = rows_of(lengths)
    assert numbers(Cutting(batching, 7, budget).cut(rows)) == sorted(each["input_ids"][0] for each in rows)


@pytest.mark.parametrize("batching", ["tokens", "packed"])
@given(lengths=lengths, budget=st.integers(64, 1500))
def test_the_budget_is_kept_but_by_a_row_that_is_longer(batching: Batching, lengths: list[int], budget: int) -> None:
    for batch in Cutting(batching, 7, budget).cut(rows_of(lengths)):
        assert batch.padded_tokens <= budget + PACKED_WIDTH_MULTIPLE or len(batch.rows) == 1
        assert batch.real_tokens <= batch.padded_tokens


@given(lengths=lengths)
def test_widths_are_aligned(lengths: list[int]) -> None:
    rows = rows_of(lengths)
    assert all(batch.width % PADDED_WIDTH_MULTIPLE == 0 for batch in Cutting("tokens", 7, 900).cut(rows))
    assert {batch.width for batch in Cutting("packed", 7, 896).cut(rows)} == {896}


def test_rows_come_as_they_are_where_their_number_is_fixed() -> None:
    rows = rows_of([5, 90, 7, 8, 40])
    cut = Cutting("rows", 2, 1).cut(rows)
    assert [batch.rows for batch in cut] == [rows[:2], rows[2:4], rows[4:]]
    assert [batch.width for batch in cut] == [90, 8, 40]


@pytest.mark.parametrize("batching", BATCHINGS)
@given(count=st.integers(1, 300), epoch=st.integers(0, 3))
def test_an_epoch_holds_every_row_once(batching: Batching, count: int, epoch: int) -> None:
    rows = rows_of([20 + number % 37 for number in range(count)])
    steps = optimizer_steps(rows, 12, Cutting(batching, 4, 128), 1, epoch)
    assert len(steps) == -(-count // 12)
    assert all(steps)
    assert numbers([batch for step in steps for batch in step]) == sorted(each["input_ids"][0] for each in rows)


@pytest.mark.parametrize("batching", BATCHINGS)
def test_the_order_follows_the_seed_and_the_epoch_alone(batching: Batching) -> None:
    rows, cutting = realistic(400), Cutting(batching, 24, 4096)
    first = optimizer_steps(rows, 48, cutting, 1, 0)
    assert optimizer_steps(rows, 48, cutting, 1, 0) == first
    assert optimizer_steps(rows, 48, cutting, 1, 1) != first
    assert optimizer_steps(rows, 48, cutting, 2, 0) != first


@pytest.mark.parametrize(("batching", "least", "most"), [("rows", 48, 48), ("tokens", 30, 66), ("packed", 36, 60)])
def test_a_step_has_its_number_of_rows_in_expectation(batching: Batching, least: int, most: int) -> None:
    steps = optimizer_steps(realistic(48 * 40), 48, Cutting(batching, 24, 4352), 3, 0)
    sizes = [sum(len(batch.rows) for batch in step) for step in steps]
    assert sum(sizes) / len(sizes) == 48
    assert least <= min(sizes) <= max(sizes) <= most


@pytest.mark.parametrize(("batching", "most"), [("tokens", 0.045), ("packed", 0.02)])
def test_little_of_the_work_is_padding(batching: Batching, most: float) -> None:
    steps = optimizer_steps(realistic(48 * 40), 48, Cutting(batching, 24, 4352), 3, 0)
    batches = [batch for step in steps for batch in step]
    real, padded = (sum(getattr(batch, name) for batch in batches) for name in ("real_tokens", "padded_tokens"))
    assert 1 - real / padded < most


def test_a_padded_batch_holds_its_rows_on_the_left() -> None:
    rows = rows_of([5, 3])
    made = tensors(MicroBatch(rows, 32, packed=False), 9, attention_mask=True)
    for number, each in enumerate(rows):
        assert made["input_ids"][number, : length(each)].tolist() == each["input_ids"]
        assert made["labels"][number, : length(each)].tolist() == each["labels"]
        assert made["attention_mask"][number].sum() == length(each)
    assert set(made["input_ids"][1, 3:].tolist()) == {9}
    assert set(made["labels"][1, 3:].tolist()) == {IGNORED_LABEL}


def test_a_packed_line_tells_where_rows_begin_and_predicts_none_of_their_first_tokens() -> None:
    rows = rows_of([5, 3, 4])
    made = tensors(MicroBatch(rows, 64, packed=True), 9, longest=40)
    assert made["boundaries"].tolist() == [0, 5, 8, 12, 52, 64]
    assert made["boundaries"].dtype == torch.int32
    assert made["position_ids"][0, :13].tolist() == [0, 1, 2, 3, 4, 0, 1, 2, 0, 1, 2, 3, 0]
    assert made["input_ids"][0, 5:8].tolist() == rows[1]["input_ids"]
    assert all(made["labels"][0, start] == IGNORED_LABEL for start in (0, 5, 8, 12))
    assert int((made["labels"] != IGNORED_LABEL).sum()) == labels(rows)
