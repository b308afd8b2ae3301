"""Intervals of shares by clusters, and of differences over the same questions, against counted values."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medcot_pipeline.evaluation.statistics.intervals import paired_difference, share_interval
from medcot_pipeline.evaluation.statistics.shares import clustered_difference, clustered_share
from medcot_pipeline.records.figures import Estimate, PairedCounts


def pairs(both: int, base_only: int, tuned_only: int, neither: int) -> PairedCounts:
    return PairedCounts(
        n=both + base_only + tuned_only + neither,
        base_pass=both + base_only,
        tuned_pass=both + tuned_only,
        base_only=base_only,
        tuned_only=tuned_only,
        mcnemar_p=None,
    )


CELLS = st.tuples(*[st.integers(0, 40)] * 4).filter(lambda cells: sum(cells) > 0)


@given(CELLS)
def test_a_paired_difference_lies_in_its_interval_which_has_a_width(cells: tuple[int, int, int, int]) -> None:
    both, base_only, tuned_only, neither = cells
    found = paired_difference(pairs(*cells))
    mirrored = paired_difference(pairs(both, tuned_only, base_only, neither))
    assert found.low is not None and found.value is not None and found.high is not None
    assert -1 <= found.low <= found.value <= found.high <= 1 and found.low < found.high
    assert (mirrored.low, mirrored.high) == pytest.approx((-found.high, -found.low))


def test_answers_to_one_question_are_no_independent_evidence() -> None:
    alike = [(3, 3), (0, 3)] * 20
    found, apart = clustered_share(alike, 4_000, 1), share_interval(60, 120)
    assert found.value == apart.value == 0.5
    assert found.low is not None and found.high is not None and apart.low is not None and apart.high is not None
    assert found.high - found.low == pytest.approx(3**0.5 * (apart.high - apart.low), rel=0.06)
    uneven = [(n % 4, 3) for n in range(50)]
    assert clustered_share(uneven, 500, 1) == clustered_share(uneven, 500, 1) != clustered_share(uneven, 500, 2)


def test_where_nothing_varies_the_clusters_are_counted() -> None:
    assert clustered_share([(3, 3)] * 12, 100, 1) == share_interval(12, 12)
    assert clustered_share([(0, 3)] * 12 + [(0, 0)], 100, 1) == share_interval(0, 12)
    assert clustered_share([], 100, 1) == clustered_share([(0, 0)], 100, 1) == Estimate()
    assert clustered_difference([(1.0, 1.0)] * 12, 100, 1) == paired_difference(pairs(12, 0, 0, 0))
    assert clustered_difference([(0.0, 1.0)] * 12, 100, 1) == paired_difference(pairs(0, 0, 12, 0))
    assert clustered_difference([], 100, 1) == paired_difference(pairs(0, 0, 0, 0)) == Estimate()


def test_a_clustered_difference_takes_both_arms_of_a_question_together() -> None:
    shares = [(0.0, 1 / 3), (2 / 3, 1.0)] * 30
    found = clustered_difference(shares, 2_000, 1)
    assert (found.value, found.low, found.high) == pytest.approx((1 / 3, 1 / 3, 1 / 3))
