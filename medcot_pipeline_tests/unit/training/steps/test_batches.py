import pytest
from hypothesis import given
from hypothesis import strategies as st

from medcot_pipeline.training.rows import TrainingRow
from medcot_pipeline.training.steps.batches import Batching, Cutting, dealt, step_rows
from medcot_pipeline.training.steps.lines import MOST_WIDTHS, few_widths
from medcot_pipeline.training.steps.micro_batch import PACKED_WIDTH_MULTIPLE, PADDED_WIDTH_MULTIPLE, MicroBatch
from medcot_pipeline_tests.support.training_rows import realistic, rows_of

BATCHINGS: tuple[Batching, ...] = ("rows", "tokens", "packed")


def numbers(batches: list[MicroBatch]) -> list[int]:
    return sorted(each.input_ids[0] for batch in batches for each in batch.rows)


lengths = st.lists(st.integers(2, 400), min_size=1, max_size=60)


@pytest.mark.parametrize("batching", BATCHINGS)
@given(lengths=lengths, budget=st.integers(64, 1500))
def test_every_row_is_in_one_micro_batch(batching: Batching, lengths: list[int], budget: int) -> None:
    rows = rows_of(lengths)
    assert numbers(Cutting(batching, 7, budget).cut(rows)) == sorted(each.input_ids[0] for each in rows)


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


@given(count=st.integers(1, 300), rows_per_step=st.integers(1, 50), epoch=st.integers(0, 3))
def test_an_epoch_holds_every_row_once(count: int, rows_per_step: int, epoch: int) -> None:
    rows = rows_of([20 + number % 37 for number in range(count)])
    steps = step_rows(rows, rows_per_step, 1, epoch)
    assert [len(step) for step in steps[:-1]] == [rows_per_step] * (len(steps) - 1)
    assert 1 <= len(steps[-1]) <= rows_per_step
    assert sorted(each.input_ids[0] for step in steps for each in step) == [each.input_ids[0] for each in rows]


def test_the_order_follows_the_seed_and_the_epoch() -> None:
    rows = realistic(400)
    first = step_rows(rows, 48, 1, 0)
    assert step_rows(rows, 48, 1, 0) == first
    assert step_rows(rows, 48, 1, 1) != first
    assert step_rows(rows, 48, 2, 0) != first


@pytest.mark.parametrize("batching", BATCHINGS)
@given(lengths=lengths, budgets=st.tuples(st.integers(64, 1500), st.integers(64, 1500)))
def test_a_step_has_the_same_rows_within_any_budget(
    batching: Batching, lengths: list[int], budgets: tuple[int, int]
) -> None:
    rows = rows_of(lengths)
    wide = Cutting(batching, 7, max(budgets), few_widths([rows], max(max(budgets), *lengths)))
    assert numbers(wide.cut(rows)) == numbers(wide.within(min(budgets)).cut(rows))


def planned(batching: Batching, rows: list[TrainingRow], budget: int) -> Cutting:
    """A cutting as a run has it."""
    return Cutting(batching, 24, budget, few_widths(step_rows(rows, 48, 3, 0)[:16], budget))


@pytest.mark.parametrize(
    ("batching", "budget", "most"), [("tokens", 4352, 0.055), ("packed", 4352, 0.035), ("packed", 8192, 0.035)]
)
def test_little_of_the_work_is_padding(batching: Batching, budget: int, most: float) -> None:
    rows = realistic(48 * 40)
    cutting = planned(batching, rows, budget)
    batches = [batch for step in step_rows(rows, 48, 3, 0) for batch in cutting.cut(step)]
    real, padded = (sum(getattr(batch, name) for batch in batches) for name in ("real_tokens", "padded_tokens"))
    assert 1 - real / padded < most


@given(lengths=lengths, budget=st.integers(400, 1500))
def test_the_lines_of_a_step_have_one_of_few_widths(lengths: list[int], budget: int) -> None:
    rows = rows_of(lengths)
    cutting = planned("packed", rows, budget)
    assert len(cutting.widths) <= MOST_WIDTHS
    assert budget <= cutting.widths[-1] < budget + PACKED_WIDTH_MULTIPLE
    assert len({batch.width for batch in cutting.cut(rows)} & {*cutting.widths}) == 1


def test_a_smaller_budget_keeps_the_widths_that_it_allows() -> None:
    assert Cutting("packed", 24, 4352, (3776, 4032, 4352)).within(4096).widths == (3776, 4032, 4096)


def tokens(rows: list[TrainingRow]) -> int:
    return sum(map(len, rows))


@given(lengths=lengths, ranks=st.integers(1, 9))
def test_every_row_of_a_step_is_dealt_to_one_rank_and_no_rank_has_a_row_more_than_another(
    lengths: list[int], ranks: int
) -> None:
    rows = rows_of(lengths)
    shares = dealt(rows, ranks)
    assert len(shares) == ranks
    assert sorted(each.input_ids[0] for share in shares for each in share) == [each.input_ids[0] for each in rows]
    assert max(map(tokens, shares)) - min(map(tokens, shares)) <= max(lengths)
    assert dealt(rows, ranks) == shares


def test_one_rank_gets_the_rows_as_they_come_and_some_of_many_get_none() -> None:
    rows = rows_of([5, 90, 7])
    assert dealt(rows, 1) == [rows]
    assert dealt(rows, 5) == [[rows[1]], [rows[2]], [rows[0]], [], []]


@pytest.mark.parametrize("ranks", [2, 4, 8])
def test_ranks_get_about_as_many_tokens_of_genuine_lengths(ranks: int) -> None:
    steps = [dealt(rows, ranks) for rows in step_rows(realistic(48 * 40), 48, 3, 0)]
    slowest = sum(max(map(tokens, shares)) for shares in steps)
    assert sum(tokens(share) for shares in steps for share in shares) / (ranks * slowest) > 0.97


@pytest.mark.parametrize("batching", BATCHINGS)
@pytest.mark.parametrize("ranks", [1, 2, 3, 4, 8])
def test_a_step_has_the_same_rows_on_any_number_of_ranks_within_any_budget(batching: Batching, ranks: int) -> None:
    rows = realistic(100)
    steps = step_rows(rows, 24, 7, 1)
    for budget in (512, 1024, 4096, 16_384):
        shares = [share for step in steps for share in dealt(step, ranks) if share]
        cutting = Cutting(batching, 6, budget, few_widths(shares, max(budget, 1040)) if batching == "packed" else ())
        cut = [[batch for share in dealt(step, ranks) for batch in cutting.cut(share)] for step in steps]
        assert [numbers(batches) for batches in cut] == [sorted(each.input_ids[0] for each in step) for step in steps]
