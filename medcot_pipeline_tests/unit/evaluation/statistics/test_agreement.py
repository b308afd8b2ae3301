import itertools
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

from medcot_pipeline.evaluation.statistics.agreement import CLASSES, agreement, blinding_index
from medcot_pipeline.records.figures import Estimate
from medcot_pipeline.records.review import Guesses
from medcot_pipeline.records.verdicts import Outcome

Pair = tuple[Outcome, Outcome]
PAIRS = st.lists(st.tuples(st.sampled_from(CLASSES), st.sampled_from(CLASSES)), min_size=2, max_size=40)


def repeated(*counted: tuple[Outcome, Outcome, int]) -> list[Pair]:
    return [(first, second) for first, second, count in counted for _ in range(count)]


def values(pairs: Sequence[Pair]) -> dict[str, float | None]:
    return {name: found.value for name, found in agreement(pairs, 10, 0).coefficients().items()}


def alpha_by_hand(pairs: list[Pair]) -> float | None:
    """Krippendorff's ordinal alpha from its definition: every pair of values, ranks counted one by one."""
    flat = [CLASSES.index(value) for pair in pairs for value in pair]
    counts = [flat.count(number) for number in range(3)]

    def distance(one: int, other: int) -> float:
        low, high = sorted((one, other))
        return (sum(counts[low : high + 1]) - (counts[low] + counts[high]) / 2) ** 2

    observed = sum(distance(CLASSES.index(a), CLASSES.index(b)) for a, b in pairs) / len(pairs)
    expected = sum(distance(a, b) for a, b in itertools.permutations(flat, 2)) / (len(flat) * (len(flat) - 1))
    return None if expected == 0 else 1 - observed / expected


@settings(max_examples=60, deadline=None)
@given(PAIRS)
def test_coefficients_equal_independent_computations(pairs: list[Pair]) -> None:
    found = values(pairs)
    first, second = ([CLASSES.index(value) for value in side] for side in zip(*pairs, strict=True))
    assert found["alpha"] == pytest.approx(alpha_by_hand(pairs))
    for name, weights in (("kappa", None), ("kappa_linear", "linear")):
        if len({*first, *second}) > 1 and found[name] is not None:
            expected = cohen_kappa_score(first, second, labels=[0, 1, 2], weights=weights)
            assert found[name] == pytest.approx(expected, abs=1e-9)
    assert found["raw"] == pytest.approx(sum(a == b for a, b in pairs) / len(pairs))


@settings(max_examples=60, deadline=None)
@given(PAIRS)
def test_swapping_the_raters_or_the_arms_changes_no_coefficient(pairs: list[Pair]) -> None:
    other: dict[str, Outcome] = {"base": "tuned", "tie": "tie", "tuned": "base"}
    for changed in ([(b, a) for a, b in pairs], [(other[a], other[b]) for a, b in pairs]):
        assert values(changed) == pytest.approx(values(pairs), nan_ok=True)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from(CLASSES), min_size=1, max_size=30))
def test_raters_who_always_agree_reach_one_wherever_it_is_defined(outcomes: list[Outcome]) -> None:
    found = values([(outcome, outcome) for outcome in outcomes])
    several = len(set(outcomes)) > 1
    assert (found["raw"], found["ac1"]) == pytest.approx((1.0, 1.0))
    for name in ("kappa", "kappa_linear", "alpha"):
        assert found[name] == (pytest.approx(1.0) if several else None)


def test_one_class_has_no_kappa_and_no_alpha_and_is_no_error() -> None:
    found = agreement([("tie", "tie")] * 5, 50, 0)
    assert found.kappa == found.alpha == Estimate()
    for told in (found.raw, found.ac1):
        assert (told.value, told.high) == (1.0, 1.0)
        assert told.low is not None and told.low < 0.7, "five prompts are no proof that they never differ"
    assert agreement([], 50, 0).raw.value is None


def test_where_one_class_prevails_kappa_falls_and_ac1_does_not() -> None:
    pairs = repeated(("tuned", "tuned", 92), ("tuned", "base", 3), ("base", "tuned", 3), ("base", "base", 2))
    found = values(pairs)
    assert found["raw"] == pytest.approx(0.94)
    assert found["kappa"] == pytest.approx(0.368, abs=0.001)
    assert found["ac1"] == pytest.approx(0.937, abs=0.001)


def test_intervals_hold_the_value_repeat_with_the_seed_and_narrow_with_n() -> None:
    pairs = repeated(("tuned", "tuned", 6), ("tie", "tuned", 2), ("base", "base", 2))
    few, many = agreement(pairs, 2000, 1), agreement(pairs * 20, 2000, 1)
    assert few == agreement(pairs, 2000, 1)
    for wide, narrow in zip(few.coefficients().values(), many.coefficients().values(), strict=True):
        assert wide.value is not None and wide.low is not None and wide.high is not None
        assert narrow.low is not None and narrow.high is not None
        assert wide.low <= wide.value <= wide.high
        assert narrow.high - narrow.low < wide.high - wide.low


def test_the_blinding_index_is_0_for_guesses_and_1_for_knowledge() -> None:
    assert blinding_index(Guesses(right=10, wrong=0, unknown=0)).value.value == 1.0
    assert blinding_index(Guesses(right=4, wrong=4, unknown=2)).value.value == 0.0
    assert blinding_index(Guesses(right=0, wrong=0, unknown=0)).value == Estimate()
    assert blinding_index(Guesses(right=1, wrong=3, unknown=6)).value.value == pytest.approx(-0.2)
