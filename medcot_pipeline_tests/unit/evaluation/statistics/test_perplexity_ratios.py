"""Ratios of sums with intervals, perplexity among them: worked by hand, laws, and coverage by simulation."""

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medcot_pipeline.evaluation.statistics.perplexity import paired_perplexity, ratio_of_sums
from medcot_pipeline.settings.load import project_root
from medcot_pipeline.support.errors import MedcotError

RUNS = 4_000
SAMPLE = project_root() / "data" / "sample" / "medical_o1_sample.json"
GROUPS = st.lists(st.tuples(st.floats(-500.0, 500.0), st.integers(1, 2000)), min_size=2, max_size=30)


def test_perplexity_is_weighted_by_token_not_by_row() -> None:
    base, tuned, ratio = paired_perplexity([10.0, 330.0], [5.0, 220.0], [10, 190])
    assert base.value == pytest.approx(math.exp(340 / 200))
    assert tuned.value == pytest.approx(math.exp(225 / 200))
    assert ratio.value == pytest.approx(math.exp((225 - 340) / 200))
    assert base.value != pytest.approx((math.exp(1.0) + math.exp(330 / 190)) / 2)


def test_an_interval_can_be_worked_by_hand() -> None:
    """Three groups of one size: residuals -1, 0 and 1, each over 1 - 1/3, and Student's t of 2 degrees of freedom."""
    found = ratio_of_sums([9.0, 10.0, 11.0], [10.0, 10.0, 10.0]).interval()
    half = 4.302653 * math.sqrt(2 * 1.5**2) / 30
    assert (found.value, found.low, found.high) == pytest.approx((1.0, 1 - half, 1 + half))


@pytest.mark.parametrize(("groups", "wholes"), [([30.0], [10.0]), ([30.0, 0.0], [10.0, 0.0])])
def test_one_group_has_no_interval_and_none_without_width(groups: list[float], wholes: list[float]) -> None:
    found = ratio_of_sums(groups, wholes).exponential()
    assert found.value == pytest.approx(math.exp(3.0))
    assert (found.low, found.high) == (None, None)


def test_two_groups_that_have_nothing_in_common_have_no_interval() -> None:
    base = paired_perplexity([10.0, 90.0], [9.0, 80.0], [10, 10])[0]
    assert (base.low, base.high) == (None, None), "a factor of a thousand each way says nothing"
    alike = paired_perplexity([10.0, 11.0], [9.0, 9.5], [10, 10])[2]
    assert alike.low is not None and alike.high is not None


def test_both_arms_of_a_group_stand_together() -> None:
    """Groups differ greatly, but tuned gains the same in every one: the ratio's interval stays narrow."""
    losses = [float(10 * row) for row in range(1, 41)]
    base, _, ratio = paired_perplexity(losses, [nll - 5.0 for nll in losses], [10] * 40)
    assert base.low is not None and base.high is not None and ratio.low is not None and ratio.high is not None
    assert ratio.high - ratio.low < 1e-9
    assert base.high / base.low > 10


def test_nothing_scored_is_said_not_divided() -> None:
    with pytest.raises(MedcotError, match="No token was scored"):
        paired_perplexity([], [], [])
    with pytest.raises(ValueError, match="2 parts for 1 wholes"):
        ratio_of_sums([1.0, 2.0], [1.0])


@given(GROUPS, st.floats(0.1, 10.0), st.randoms())
def test_order_is_nothing_and_a_scale_is_one(groups: list[tuple[float, int]], scale: float, random: Any) -> None:
    found = ratio_of_sums(*zip(*groups, strict=True))
    mixed = random.sample(groups, len(groups))
    other = ratio_of_sums([part * scale for part, _ in mixed], [whole for _, whole in mixed])
    assert other.value == pytest.approx(found.value * scale, abs=1e-9)
    assert other.error == pytest.approx((found.error or 0.0) * scale, abs=1e-9)


@given(GROUPS)
def test_twice_the_evidence_has_a_narrower_interval(groups: list[tuple[float, int]]) -> None:
    once, twice = (ratio_of_sums(*zip(*each, strict=True)).interval() for each in (groups, groups * 2))
    assert once.low is not None and once.high is not None and twice.low is not None and twice.high is not None
    assert twice.high - twice.low <= once.high - once.low + 1e-9


def population(count: int, random: np.random.Generator) -> tuple[Any, Any, Any]:
    """Rows like those of the demo: NLL of base and tuned, nats, and tokens.

    Lengths are those of the sample's rows. What a row's tokens cost was measured on SmolLM2-135M and its adapter: 3.3
    nats, less 1.2 by tuning, in English, where long rows gain less; 2.8 less 0.7 in Chinese.
    """
    rows = json.loads(SAMPLE.read_text(encoding="utf-8"))
    texts = [row["Complex_CoT"] + row["Response"] for row in rows]
    english = np.array([text.isascii() or sum(map(ord, text)) / len(text) < 1000 for text in texts])
    lengths = np.array([len(text) for text in texts]) * np.where(english, 0.25, 1.3)
    drawn = random.integers(0, len(rows), count)
    tokens, is_english = np.maximum(1, lengths[drawn]), english[drawn]
    longer = np.log(tokens / np.median(lengths))
    noise = random.normal(size=(2, count))
    base = np.where(is_english, 3.3 - 0.4 * longer, 2.8) + 0.38 * noise[0]
    change = np.where(is_english, -1.2 + 0.2 * longer + 0.17 * noise[1], -0.68 + 0.1 * noise[1])
    return base * tokens, (base + change) * tokens, tokens


def coverage(groups: int, runs: int = RUNS) -> dict[str, float]:
    """How often the intervals of base, tuned and ratio hold the value of all rows, percent."""
    random = np.random.default_rng(groups)
    whole_base, whole_tuned, whole_tokens = (each.sum() for each in population(2_000_000, random))
    true = [math.exp(nats / whole_tokens) for nats in (whole_base, whole_tuned, whole_tuned - whole_base)]
    held = np.zeros(3)
    base, tuned, tokens = population(groups * runs, random)
    for start in range(0, groups * runs, groups):
        some = slice(start, start + groups)
        for number, found in enumerate(paired_perplexity(base[some], tuned[some], tokens[some])):
            held[number] += found.low is None or found.low <= true[number] <= (found.high or math.inf)
    return {name: 100 * float(share) / runs for name, share in zip(("base", "tuned", "ratio"), held, strict=True)}


def test_the_gap_between_two_samples_of_one_population_holds_1_as_often_as_it_says() -> None:
    random, held = np.random.default_rng(3), 0
    base, _, tokens = population(45 * RUNS, random)
    for start in range(0, 45 * RUNS, 45):
        few, many = (ratio_of_sums(base[some], tokens[some]) for some in _parts(start))
        found = few.less(many).exponential()
        held += found.low is None or found.low <= 1 <= (found.high or math.inf)
    assert 93 <= 100 * held / RUNS <= 97


def _parts(start: int) -> tuple[slice, slice]:
    return slice(start, start + 15), slice(start + 15, start + 45)


@pytest.mark.parametrize(("groups", "least", "most"), [(5, 91, 97), (12, 92, 97), (30, 93, 97), (100, 93, 97)])
def test_intervals_hold_the_truth_as_often_as_they_say(groups: int, least: float, most: float) -> None:
    found = coverage(groups)
    assert all(least <= share <= most for share in found.values()), found


if __name__ == "__main__":
    for groups in (5, 12, 30, 100):
        print(groups, coverage(groups))
