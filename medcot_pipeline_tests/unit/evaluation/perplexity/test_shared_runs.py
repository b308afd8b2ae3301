import json
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medcot_pipeline.evaluation.perplexity.shared_runs import LEAST_CHARS, shared_runs
from medcot_pipeline_tests.support.genuine import FOLDER, genuine_rows_only

TEMPLATE = "好的，我们先来看一下这个病人的情况。首先要考虑的是症状出现的时间，然后再看检查结果，最后综合起来判断。"


def splits(*rows: tuple[str, str, str]) -> pl.DataFrame:
    """Rows by split, reasoning and answer."""
    names = ("split", "reasoning", "answer")
    numbered = [
        {"row_id": f"r{n:03}", "language": "zh", **dict(zip(names, row, strict=True))} for n, row in enumerate(rows)
    ]
    return pl.DataFrame(numbered)


def longest_by_hand(rows: pl.DataFrame) -> list[int]:
    trained = rows.filter(split="train")
    texts = [text.strip() for name in ("reasoning", "answer") for text in trained[name]]
    windows = {text[at : at + LEAST_CHARS] for text in texts for at in range(len(text) - LEAST_CHARS + 1)}
    found = []
    for row in rows.filter(split="test").sort("row_id").iter_rows(named=True):
        longest = 0
        for text in (row["reasoning"].strip(), row["answer"].strip()):
            run = 0
            for at in range(len(text) - LEAST_CHARS + 1):
                run = run + 1 if text[at : at + LEAST_CHARS] in windows else 0
                longest = max(longest, run + LEAST_CHARS - 1 if run else 0)
        found.append(longest)
    return found


@pytest.mark.parametrize(("chars", "longest"), [(39, 0), (40, 40), (41, 41), (len(TEMPLATE), len(TEMPLATE))])
def test_a_run_counts_from_40_characters_on(chars: int, longest: int) -> None:
    rows = splits(("train", f"甲{TEMPLATE}乙", "答"), ("test", f"丙{TEMPLATE[:chars]}丁", "另答"))
    assert shared_runs(rows)["longest"].to_list() == [longest]


def test_a_run_does_not_go_on_over_the_end_of_a_text() -> None:
    half = len(TEMPLATE) // 2
    rows = splits(("train", TEMPLATE[:half], TEMPLATE[half:]), ("test", TEMPLATE, "x"), ("test", "x", TEMPLATE))
    assert half < LEAST_CHARS
    assert shared_runs(rows)["longest"].to_list() == [0, 0]


def test_validation_rows_and_other_held_out_rows_are_nothing_to_learn_from() -> None:
    rows = splits(("validation", TEMPLATE, "x"), ("test", TEMPLATE, "x"), ("test", TEMPLATE, "x"), ("train", "y", "z"))
    assert shared_runs(rows)["longest"].to_list() == [0, 0]


def test_no_row_to_train_on_shares_nothing() -> None:
    assert shared_runs(splits(("test", TEMPLATE, "")))["longest"].to_list() == [0]


WORDS = st.lists(st.sampled_from([TEMPLATE, TEMPLATE[:45], "🙂", "a", "。\n"]), max_size=4).map("".join)
ROWS = st.lists(st.tuples(st.sampled_from(["train", "test"]), WORDS, WORDS), min_size=1, max_size=8)


@given(ROWS)
@settings(max_examples=80, deadline=None)
def test_the_runs_are_those_that_are_found_by_hand(rows: list[tuple[str, str, str]]) -> None:
    table = splits(*rows, ("test", TEMPLATE, ""))
    assert shared_runs(table)["longest"].to_list() == longest_by_hand(table)


@genuine_rows_only
def test_genuine_rows_are_searched_as_by_hand() -> None:
    rows = [
        row for path in sorted(Path(FOLDER).glob("medical_o1_??.json")) for row in json.loads(path.read_text("utf-8"))
    ]
    given_rows = [
        ("test" if n % 4 == 0 else "train", row["Complex_CoT"], row["Response"]) for n, row in enumerate(rows)
    ]
    table = splits(*given_rows)
    found = shared_runs(table)
    assert found["longest"].to_list() == longest_by_hand(table)
    assert found.height == len(given_rows[::4])
