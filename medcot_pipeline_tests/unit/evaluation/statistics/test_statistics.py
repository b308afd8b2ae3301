import math
import tracemalloc

import pytest

from medcot_pipeline.evaluation.statistics.intervals import paired_bootstrap_perplexity, pass_rate_uplift
from medcot_pipeline.records.answer_figures import Uplift
from medcot_pipeline.support.errors import MedcotError


def test_perplexity_is_weighted_by_token_not_by_row() -> None:
    base, tuned, ratio = paired_bootstrap_perplexity([10.0, 330.0], [5.0, 220.0], [10, 190], 200, 0)
    assert base.value == pytest.approx(math.exp(340 / 200))
    assert tuned.value == pytest.approx(math.exp(225 / 200))
    assert ratio.value == pytest.approx(math.exp((225 - 340) / 200))
    assert base.value != pytest.approx((math.exp(1.0) + math.exp(330 / 190)) / 2)


def test_two_rows_give_the_interval_that_can_be_counted_by_hand() -> None:
    """Each resample of two rows is both firsts, both seconds or one of each: the ends are the rows themselves."""
    base, _, ratio = paired_bootstrap_perplexity([10.0, 40.0], [5.0, 30.0], [10, 20], 2000, 0)
    assert base.low == pytest.approx(math.e)
    assert base.high == pytest.approx(math.exp(2))
    assert (ratio.low, ratio.high) == pytest.approx((math.exp(-0.5), math.exp(-0.5)))


def test_rows_are_resampled_in_pairs() -> None:
    """Rows differ greatly, but tuned halves every one: the ratio's interval stays narrow."""
    losses = [float(10 * row) for row in range(1, 41)]
    base, _, ratio = paired_bootstrap_perplexity(losses, [nll - 5.0 for nll in losses], [10] * 40, 500, 0)
    assert ratio.high - ratio.low < 1e-9
    assert base.high / base.low > 10


def test_the_seed_repeats_the_interval() -> None:
    rows = ([3.0, 9.0, 14.0, 7.0], [2.0, 8.0, 9.0, 7.5], [3, 6, 9, 5])
    assert paired_bootstrap_perplexity(*rows, 300, 7) == paired_bootstrap_perplexity(*rows, 300, 7)
    assert paired_bootstrap_perplexity(*rows, 300, 7) != paired_bootstrap_perplexity(*rows, 300, 8)


def test_many_rows_stay_under_100_mb() -> None:
    tracemalloc.start()
    paired_bootstrap_perplexity([2.0] * 20_000, [1.0] * 20_000, [1] * 20_000, 300, 0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100e6


def test_nothing_scored_is_said_not_divided() -> None:
    with pytest.raises(MedcotError, match="No held-out token"):
        paired_bootstrap_perplexity([], [], [], 10, 0)
    with pytest.raises(ValueError, match="2 and 1 losses for 2 token entries"):
        paired_bootstrap_perplexity([1.0, 2.0], [1.0], [1, 1], 10, 0)


def test_the_same_39_percent_is_20_points() -> None:
    uplift = pass_rate_uplift(51, 71, 100)
    assert uplift.absolute == pytest.approx(0.20)
    assert uplift.relative == pytest.approx(0.39, abs=0.005)


def test_a_base_of_zero_has_no_relative_uplift() -> None:
    assert pass_rate_uplift(0, 4, 10) == Uplift(absolute=0.4, relative=None)
    assert pass_rate_uplift(0, 0, 0) == Uplift(absolute=None, relative=None)
