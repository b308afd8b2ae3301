import random
import warnings

import pytest

from medcot_pipeline.evaluation.statistics.intervals import pass_rate_intervals, pass_rate_uplift
from medcot_pipeline.evaluation.statistics.length import length_figures
from medcot_pipeline.records.arms import Arm
from medcot_pipeline.records.figures import Estimate, PairedCounts
from medcot_pipeline.records.verdicts import Outcome, Verdict

DRAW = random.Random(3)
LENGTHS: dict[tuple[str, Arm], int] = {}
for number in range(200):
    LENGTHS[f"p{number}", "base"], LENGTHS[f"p{number}", "tuned"] = DRAW.randint(50, 300), DRAW.randint(50, 500)


def verdicts(outcomes: list[Outcome]) -> list[Verdict]:
    return [Verdict(f"p{number}", outcome) for number, outcome in enumerate(outcomes)]


def longer(number: int) -> Outcome:
    return "tuned" if LENGTHS[f"p{number}", "tuned"] > LENGTHS[f"p{number}", "base"] else "base"


def test_a_judge_of_nothing_but_length_is_exposed() -> None:
    found = length_figures(verdicts([longer(number) for number in range(200)]), LENGTHS)
    assert found.longer_wins.value == 1.0
    assert found.win_rate.value is not None and found.win_rate.value > 0.6
    assert found.controlled.value is None, "verdict and length cannot be told apart"


def test_with_length_held_equal_a_taste_for_length_is_no_preference() -> None:
    """Three in four verdicts follow length, the rest a coin: tuned wins often, and not at equal length."""
    outcomes = [longer(number) if DRAW.random() < 0.75 else DRAW.choice(("base", "tuned")) for number in range(200)]
    found = length_figures(verdicts(outcomes), LENGTHS)
    assert found.win_rate.value is not None and found.win_rate.value > 0.6
    assert found.controlled.low is not None and found.controlled.high is not None
    assert found.controlled.low < 0.5 < found.controlled.high


def test_a_judge_that_ignores_length_keeps_its_win_rate() -> None:
    outcomes: list[Outcome] = [DRAW.choice(("tuned", "tuned", "tuned", "base")) for _ in range(200)]
    found = length_figures(verdicts(outcomes), LENGTHS)
    assert found.longer_wins.value == pytest.approx(0.5, abs=0.2)
    assert found.controlled.value == pytest.approx(found.win_rate.value, abs=0.08)
    assert found.win_rate.value is not None
    assert found.controlled.low is not None and found.controlled.high is not None
    assert found.controlled.low < found.win_rate.value < found.controlled.high


@pytest.mark.parametrize(
    "outcomes", [[], ["tuned"], ["tuned"] * 9, ["tie"] * 9, ["tie", "inconsistent", "tie"], ["invalid"] * 4]
)
def test_too_little_to_fit_is_none_and_no_warning(outcomes: list[Outcome]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert length_figures(verdicts(outcomes), LENGTHS).controlled.value is None


def test_answers_of_one_length_leave_the_raw_win_rate() -> None:
    same: dict[tuple[str, Arm], int] = dict.fromkeys(LENGTHS, 80)
    found = length_figures(verdicts(["tuned", "base", "tuned", "tie"]), same)
    assert found.longer_wins.value is None
    assert found.controlled.value == pytest.approx(found.win_rate.value) == pytest.approx(0.625)


def test_intervals_of_pass_rates_hold_the_uplift() -> None:
    counts = PairedCounts(n=100, base_pass=51, tuned_pass=71, base_only=5, tuned_only=25, mcnemar_p=None)
    found, uplift = pass_rate_intervals(counts), pass_rate_uplift(51, 71, 100)
    for rate, expected in ((found.absolute, uplift.absolute), (found.relative, uplift.relative)):
        assert rate.value is not None and rate.low is not None and rate.high is not None
        assert rate.value == pytest.approx(expected)
        assert 0 < rate.low < rate.value < rate.high
    assert found.absolute.low == pytest.approx(0.10, abs=0.02)


def test_a_base_that_passes_nothing_has_no_relative_uplift() -> None:
    none = PairedCounts(n=10, base_pass=0, tuned_pass=4, base_only=0, tuned_only=4, mcnemar_p=None)
    assert pass_rate_intervals(none).relative == Estimate()
    assert pass_rate_intervals(none.model_copy(update={"n": 0})).absolute.value is None
