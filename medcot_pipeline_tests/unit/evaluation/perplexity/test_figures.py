import dataclasses
import math
from typing import Any

import polars as pl
import pytest

from medcot_pipeline.evaluation.perplexity.compare import both_arms
from medcot_pipeline.evaluation.perplexity.figures import Beside, incumbent_figures, perplexity_figures
from medcot_pipeline.evaluation.perplexity.measure import EXAMPLE_SCHEMA
from medcot_pipeline.evaluation.perplexity.rows import held_out_numbers
from medcot_pipeline.evaluation.perplexity.table import NO_INTERVAL, TOO_FEW, definition_rows
from medcot_pipeline.records.arms import ARMS
from medcot_pipeline.records.figures import Estimate, Interval, RowsOf
from medcot_pipeline.records.perplexity import PerplexityFigures, TrainingRows

BOTH_SCHEMA = {**EXAMPLE_SCHEMA, "arm": pl.String}


def both(row_id: str, base: float, tuned: float, tokens: int, **changes: Any) -> list[dict[str, Any]]:
    """Lines of a row in both arms; half of it is reasoning, half answer, unless a segment is given."""
    fields = {"set": "test", "row_id": row_id, "language": "zh", "group_id": row_id, **changes}
    segments = [fields["segment"]] if "segment" in fields else ["reasoning", "answer"]
    each = tokens // len(segments)
    share = {"tokens": each, "text_tokens": each, "bytes": 3 * each, **fields}
    nats = {arm: nll / len(segments) for arm, nll in zip(ARMS, (base, tuned), strict=True)}
    return [
        {"text_nll": nats[arm], **share, "segment": segment, "arm": arm, "nll": nats[arm]}
        for arm in ARMS
        for segment in segments
    ]


def figures(*lines: dict[str, Any], **changes: Any) -> PerplexityFigures:
    examples = pl.DataFrame(lines, schema=BOTH_SCHEMA)
    held_out = examples.filter(set="test").select("row_id").unique()
    beside = Beside(
        questions=dict.fromkeys(examples["row_id"], "？"),
        left_out={},
        training=TrainingRows(learned=9, left_out={}),
        shared=held_out.with_columns(longest=pl.lit(0)),
        max_logit_difference=1.0,
    )
    return perplexity_figures(examples, dataclasses.replace(beside, **changes))


def ends(interval: Interval | Estimate) -> tuple[float, float]:
    assert interval.low is not None and interval.high is not None
    return interval.low, interval.high


def test_perplexity_is_a_ratio_of_sums_and_not_a_mean_over_rows() -> None:
    measured = figures(
        *both("a", 20.0, 10.0, 10, segment="reasoning"),
        *both("a", 4.0, 2.0, 2, segment="answer"),
        *both("b", 6.0, 6.0, 30),
    )
    assert measured.base.value == pytest.approx(math.exp(30 / 42))
    assert measured.tuned.value == pytest.approx(math.exp(18 / 42))
    assert measured.ratio.value == pytest.approx(math.exp(-12 / 42))
    assert measured.definitions.macro.base.value == pytest.approx(math.exp((24 / 12 + 6 / 30) / 2))
    assert measured.segments.answer.base.value == pytest.approx(math.exp((4 + 3) / (2 + 15)))
    assert measured.bits_per_byte.base.value == pytest.approx(30 / (math.log(2) * 126))
    assert (measured.rows, measured.share_improved.value) == (2, 0.5)


def test_the_page_of_one_model_shows_its_headline() -> None:
    lines = [*both("a", 10.0, 8.0, 4), *both("b", 30.0, 20.0, 16)]
    examples = pl.DataFrame(lines, schema=BOTH_SCHEMA)
    assert held_out_numbers(examples.filter(arm="base")) == {
        "rows": 2,
        "tokens": examples.filter(arm="base", set="test")["tokens"].sum(),
        "perplexity": pytest.approx(figures(*lines).base.value),
    }


def test_against_the_incumbent_the_same_definition_holds() -> None:
    lines = pl.DataFrame([*both("a", 9.0, 4.0, 10), *both("b", 9.0, 6.0, 10)], schema=BOTH_SCHEMA)
    beside = pl.DataFrame([*both("a", 0.0, 5.0, 10), *both("b", 0.0, 7.0, 10)], schema=BOTH_SCHEMA)
    incumbent = beside.filter(arm="tuned").drop("arm")
    compared = incumbent_figures(lines, incumbent)
    values = {name: each.value for name, each in compared}
    assert values == pytest.approx({"incumbent": math.exp(0.6), "tuned": math.exp(0.5), "ratio": math.exp(-0.1)})


def test_two_measures_are_put_side_by_side_by_row_and_segment() -> None:
    lines = pl.DataFrame([*both("b", 9.0, 4.0, 10), *both("a", 8.0, 6.0, 10)], schema=BOTH_SCHEMA)
    base, tuned = (lines.filter(arm=arm).drop("arm") for arm in ARMS)
    together = both_arms(base, tuned)
    assert together.columns == list(BOTH_SCHEMA)
    assert together.equals(lines.sort("set", "row_id", "arm", "segment"))


def test_full_text_scores_the_prompt_and_the_headline_does_not() -> None:
    measured = figures(*both("a", 4.0, 4.0, 4), *both("a", 40.0, 40.0, 4, segment="prompt"))
    assert measured.base.value == pytest.approx(math.e)
    assert measured.definitions.full_text.base.value == pytest.approx(math.exp(44 / 8))


def test_the_trainers_average_depends_on_its_batches() -> None:
    rows = [each for n in range(8) for each in both(f"a{n}", 10.0, 10.0, 10)] + both("b", 400.0, 400.0, 100)
    assert figures(*rows).definitions.trainer_style.base.value == pytest.approx(math.exp((8 * 1 + 1 * 4) / 9))


def test_near_duplicates_are_one_piece_of_evidence() -> None:
    apart = [each for n in range(12) for each in both(f"r{n}", 10.0 + n, 8.0, 10)]
    copies = [{**each, "group_id": "one" if int(each["row_id"][1:]) < 6 else "two"} for each in apart]
    free, grouped = figures(*apart), figures(*copies)
    assert grouped.base.value == pytest.approx(free.base.value)
    assert (free.groups, grouped.groups) == (12, 2)
    assert ends(grouped.base)[1] / ends(grouped.base)[0] > ends(free.base)[1] / ends(free.base)[0]


def test_forgetting_and_the_gap_are_measured_apart_from_the_headline() -> None:
    measured = figures(
        *both("a", 10.0, 10.0, 10),
        *both("t", 10.0, 5.0, 10, set="train"),
        *both("g", 10.0, 12.0, 10, set="general", segment="text", language="en"),
    )
    assert measured.base.value == pytest.approx(math.e)
    assert measured.general and measured.overfitting
    assert measured.general.languages["en"].ratio.value == pytest.approx(math.exp(0.2))
    assert (measured.overfitting.train_rows, measured.overfitting.learned_rows) == (1, 9)
    assert measured.overfitting.base.value == pytest.approx(1.0)
    assert measured.overfitting.ratio.value == pytest.approx(math.exp(0.5))
    assert measured.overfitting.tuned.value == pytest.approx(math.exp(0.5))
    shown = {row.definition: row.tuned for row in definition_rows(measured)}
    assert shown["general passages (forgetting)"] == measured.general.tuned


def test_without_passages_and_training_rows_forgetting_and_gap_are_not_measured() -> None:
    measured = figures(*both("a", 10.0, 5.0, 10))
    assert (measured.general, measured.overfitting) == (None, None)
    assert [row.definition for row in definition_rows(measured)] == [
        "completion (headline)",
        "completion, zh (1 rows)",
        "completion without marks",
        "completion without marks, zh",
        "reasoning only",
        "answer only",
        "completion, bits per byte",
        "prompt and completion together",
        "completion, mean over rows instead of tokens",
        "completion, mean of batches of 8 (exp of the Trainer's eval_loss)",
    ]


def test_one_row_has_no_interval_and_says_so() -> None:
    measured = figures(*both("a", 30.0, 20.0, 10))
    assert measured.ratio.value == pytest.approx(math.exp(-1))
    assert (measured.ratio.low, measured.ratio.high) == (None, None)
    notes = {row.definition: row.note for row in definition_rows(measured)}
    assert notes["completion (headline)"] == TOO_FEW
    assert (measured.marks_share.tokens.low, measured.marks_share.gain) == (None, Estimate())
    assert ends(measured.share_improved)[0] < 0.5, "1 of 1 is weak evidence"


def test_each_language_has_its_own_figure() -> None:
    chinese = [line for n in range(6) for line in both(f"z{n}", 20.0 + n, 10.0 + n, 10)]
    english = [line for n in range(4) for line in both(f"e{n}", 30.0 + n, 9.0 + n, 30, language="en")]
    measured = figures(*chinese, *english)
    assert {name: (each.rows, each.groups) for name, each in measured.languages.items()} == {"en": (4, 4), "zh": (6, 6)}
    alone = figures(*english)
    for name in ("base", "tuned", "ratio"):
        assert getattr(measured.languages["en"], name) == getattr(alone, name)
    shown = {row.definition: row for row in definition_rows(measured)}
    assert shown["completion, zh (6 rows)"].ratio == measured.languages["zh"].ratio


def test_marks_are_shown_apart_with_their_share_of_tokens_and_of_the_gain() -> None:
    """Of 20 tokens 2 are marks; tuned gains 10 nats of which the marks bring 6."""
    rows = [line for n in range(12) for line in both(f"r{n}", 40.0 + n, 30.0 + n, 20, text_tokens=9)]
    for line in rows:
        line["text_nll"] = line["nll"] - (4.0 if line["arm"] == "base" else 1.0)
    measured = figures(*rows)
    assert measured.marks_share.tokens.value == pytest.approx(0.1)
    assert measured.marks_share.gain.value == pytest.approx(0.6)
    assert ends(measured.marks_share.gain) == pytest.approx((0.6, 0.6))
    assert measured.content.ratio.value == pytest.approx(math.exp(-4 / 18))
    assert measured.languages["zh"].content == measured.content


def test_where_tuned_gains_nothing_marks_have_no_share_of_the_gain() -> None:
    measured = figures(*(line for n in range(9) for line in both(f"r{n}", 10.0, 10.0 + (-1) ** n, 10)))
    assert measured.marks_share.gain == Estimate()


def test_every_figure_of_the_table_has_an_interval_or_says_why_it_has_none() -> None:
    measured = figures(
        *(line for n in range(9) for line in both(f"r{n}", 10.0 + n, 8.0 + n / 2, 10)),
        *(line for n in range(3) for line in both(f"t{n}", 10.0 + n, 5.0, 10, set="train")),
        *(line for n in range(3) for line in both(f"g{n}", 9.0 + n, 9.5, 10, set="general", segment="text")),
    )
    for row in definition_rows(measured):
        bounded = [isinstance(each, Interval) and each.low is not None for each in (row.base, row.tuned, row.ratio)]
        assert all(bounded) or row.note == NO_INTERVAL, row.definition
        assert row.ratio.value == pytest.approx(row.tuned.value / row.base.value)


def test_rows_that_were_left_out_stand_by_language_beside_their_total() -> None:
    left_out = {"en": RowsOf(rows=0, of=28), "zh": RowsOf(rows=37, of=51)}
    training = TrainingRows(learned=9, left_out={"zh": RowsOf(rows=4, of=60)})
    measured = figures(*both("a", 10.0, 9.0, 10), left_out=left_out, training=training)
    assert (measured.left_out, measured.left_out_by_language) == (37, left_out)
    assert measured.training_left_out_by_language == training.left_out


def test_rows_that_share_long_runs_with_training_rows_are_compared_apart() -> None:
    lines = [line for n in range(8) for line in both(f"r{n}", 20.0 + n, (10.0 if n < 3 else 18.0) + n, 10)]
    longest = pl.DataFrame({"row_id": [f"r{n}" for n in range(8)], "longest": [40, 314, 41, 39, 0, 0, 12, 39]})
    found = figures(*lines, shared=longest).shared_runs
    assert (found.least_chars, found.rows, found.of) == (40, 3, 8)
    assert found.languages == {"zh": RowsOf(rows=3, of=8)}
    assert found.ratio_with.value == pytest.approx(math.exp(-1.0))
    assert found.ratio_without.value == pytest.approx(math.exp(-0.2))


def test_without_a_shared_run_there_is_nothing_to_compare_apart() -> None:
    found = figures(*both("a", 20.0, 10.0, 10), *both("b", 20.0, 11.0, 10)).shared_runs
    assert (found.rows, found.ratio_with) == (0, Estimate())
    assert found.ratio_without.value is not None


def test_an_adapter_whose_rows_are_not_known_has_no_figure_of_overfitting() -> None:
    lines = [*both("a", 10.0, 10.0, 10), *both("t", 10.0, 5.0, 10, set="train")]
    measured = figures(*lines, training=TrainingRows(learned=None, left_out=None))
    assert (measured.overfitting, measured.training_left_out_by_language) == (None, None)
