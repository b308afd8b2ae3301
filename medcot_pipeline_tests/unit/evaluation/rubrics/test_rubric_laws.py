"""Laws of scores that hold for any grades."""

from typing import get_args

from hypothesis import given, settings
from hypothesis import strategies as st

from medcot_pipeline.evaluation.rubrics.figures import compare, score
from medcot_pipeline.evaluation.statistics.ratios import paired_ratios
from medcot_pipeline.records.arms import ARMS
from medcot_pipeline.records.figures import Estimate
from medcot_pipeline.records.prompts import Prompt
from medcot_pipeline.records.rubrics.rubric import Axis, Grade
from medcot_pipeline.settings import RubricSettings

POINTS = st.integers(-10, 10).filter(bool)
AXES = st.sampled_from(get_args(Axis))
PROMPTS = [Prompt(f"q{number}", "zh", "用药", "问") for number in range(4)]
FEW = RubricSettings(bootstrap_resamples=50)


@st.composite
def grades(draw: st.DrawFn) -> list[Grade]:
    found = []
    for prompt in PROMPTS:
        rubric = draw(st.lists(st.tuples(AXES, POINTS), min_size=1, max_size=4))
        for arm in ARMS:
            for number, (axis, points) in enumerate(rubric):
                met = draw(st.sampled_from([True, False, None]))
                found.append(Grade(prompt.id, arm, f"c{number}", axis, points, met))
    return found


@given(grades(), POINTS, AXES)
@settings(max_examples=60, deadline=None)
def test_an_ungradable_criterion_changes_no_score_and_no_figure(found: list[Grade], points: int, axis: Axis) -> None:
    further = [Grade(prompt.id, arm, "more", axis, points, None) for prompt in PROMPTS for arm in ARMS]
    assert compare(PROMPTS, [*found, *further], FEW) == compare(PROMPTS, found, FEW)


@given(st.lists(st.tuples(POINTS, st.sampled_from([True, False, None])), max_size=6))
def test_a_score_is_at_most_one_and_above_zero_only_where_something_is_met(
    given_: list[tuple[int, bool | None]],
) -> None:
    value = score(Grade("q", "base", "c", "dose", points, met) for points, met in given_)
    assert value is None or value <= 1
    assert not value or any(met for _, met in given_)


@given(grades())
@settings(max_examples=40, deadline=None)
def test_the_difference_is_that_of_the_means(found: list[Grade]) -> None:
    overall = compare(PROMPTS, found, FEW).overall
    if overall.n:
        assert overall.other.value is not None and overall.tuned.value is not None
        assert overall.difference.value is not None
        assert abs(overall.tuned.value - overall.other.value - overall.difference.value) < 1e-9


def test_an_interval_holds_the_truth_in_most_runs() -> None:
    """Sixty prompts whose scores differ by 0.1 on average: near 95 % of intervals hold it."""
    import numpy as np

    generator, held = np.random.default_rng(1), 0
    for run in range(200):
        base = generator.normal(0.4, 0.25, 60)
        tuned = base + generator.normal(0.1, 0.2, 60)
        other, ours = ([(float(value), 1.0) for value in arm] for arm in (base, tuned))
        difference = paired_ratios(other, ours, resamples=400, seed=run)[2]
        assert difference.low is not None and difference.high is not None
        held += difference.low <= 0.1 <= difference.high
    assert 0.90 <= held / 200 <= 0.99


def test_nothing_to_compare_has_no_figure_and_scores_that_are_all_alike_have_no_interval() -> None:
    assert paired_ratios([], [], 10, 0) == (Estimate(), Estimate(), Estimate())
    assert paired_ratios([(0, 0)], [(1, 1)], 10, 0) == (Estimate(), Estimate(), Estimate())
    alike = paired_ratios([(0, 1)] * 5, [(1, 1)] * 5, 10, 0)
    assert alike == (Estimate(value=0.0), Estimate(value=1.0), Estimate(value=1.0))
