import pytest

from medcot_pipeline.evaluation.statistics.intervals import pass_rate_uplift
from medcot_pipeline.records.answer_figures import Uplift


def test_the_same_39_percent_is_20_points() -> None:
    uplift = pass_rate_uplift(51, 71, 100)
    assert uplift.absolute == pytest.approx(0.20)
    assert uplift.relative == pytest.approx(0.39, abs=0.005)


def test_a_base_of_zero_has_no_relative_uplift() -> None:
    assert pass_rate_uplift(0, 4, 10) == Uplift(absolute=0.4, relative=None)
    assert pass_rate_uplift(0, 0, 0) == Uplift(absolute=None, relative=None)
