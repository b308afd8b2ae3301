import pytest

from medcot_pipeline.evaluation.statistics.intervals import net_preference, pass_rate_uplift
from medcot_pipeline.records.answer_figures import Uplift
from medcot_pipeline.records.figures import Estimate
from medcot_pipeline.records.verdicts import Outcome, Verdict


def verdicts(**counts: int) -> list[Verdict]:
    outcomes: list[tuple[Outcome, int]] = [
        ("tuned", counts.get("tuned", 0)),
        ("tie", counts.get("tie", 0)),
        ("base", counts.get("base", 0)),
        ("inconsistent", counts.get("inconsistent", 0)),
        ("invalid", counts.get("invalid", 0)),
    ]
    flat = [outcome for outcome, count in outcomes for _ in range(count)]
    return [Verdict(f"p{number}", outcome) for number, outcome in enumerate(flat)]


def test_55_wins_29_ties_16_losses_are_39_points() -> None:
    found = net_preference(verdicts(tuned=55, tie=29, base=16), 10_000, 3)
    assert (found.n, found.wins, found.ties, found.losses) == (100, 55, 29, 16)
    assert found.net.value == pytest.approx(0.39)
    assert found.net.low == pytest.approx(0.24, abs=0.015)
    assert found.net.high == pytest.approx(0.53, abs=0.015)
    assert found.sign_test_p == pytest.approx(4e-6, rel=0.1)
    assert found.win_rate == pytest.approx(0.55)


def test_inconsistent_counts_as_nothing_won_and_invalid_not_at_all() -> None:
    found = net_preference(verdicts(tuned=3, inconsistent=5, invalid=4), 100, 3)
    assert (found.n, found.inconsistent, found.invalid, found.ties) == (8, 5, 4, 0)
    assert found.net.value == pytest.approx(3 / 8)


def test_two_reviewers_of_one_prompt_are_no_two_prompts() -> None:
    once = [Verdict(f"p{number}", "tuned" if number % 2 else "tie") for number in range(40)]
    alone, doubled = net_preference(once, 2000, 3), net_preference(once + once, 2000, 3)
    assert doubled.n == 80
    assert doubled.net == alone.net
    assert doubled.sign_test_p == alone.sign_test_p


def test_reviewers_who_contradict_each_other_decide_nothing() -> None:
    assert net_preference(verdicts(tuned=9) + verdicts(base=9), 100, 3).sign_test_p is None


@pytest.mark.parametrize("nothing", [[], verdicts(invalid=3)])
def test_without_verdicts_there_is_no_estimate(nothing: list[Verdict]) -> None:
    found = net_preference(nothing, 100, 3)
    assert found.n == 0
    assert found.net == Estimate()
    assert found.sign_test_p is None
    assert found.win_rate is None


def test_ties_alone_decide_nothing() -> None:
    found = net_preference(verdicts(tie=4), 100, 3)
    assert found.net == Estimate(value=0.0, low=0.0, high=0.0)
    assert found.sign_test_p is None


def test_the_same_39_percent_is_20_points() -> None:
    uplift = pass_rate_uplift(51, 71, 100)
    assert uplift.absolute == pytest.approx(0.20)
    assert uplift.relative == pytest.approx(0.39, abs=0.005)


def test_a_base_of_zero_has_no_relative_uplift() -> None:
    assert pass_rate_uplift(0, 4, 10) == Uplift(absolute=0.4, relative=None)
    assert pass_rate_uplift(0, 0, 0) == Uplift(absolute=None, relative=None)
