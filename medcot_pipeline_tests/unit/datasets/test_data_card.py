import re
from typing import Any

import polars as pl
import pytest

from medcot_pipeline.corpus.normalize.table import normalize_rows
from medcot_pipeline.datasets.data_card import data_card
from medcot_pipeline.settings import NormalizeSettings
from medcot_pipeline.support.markdown import LONGEST, bar, cell, flatten, plain, table

HOSTILE = "<script>a()</script> [点我](javascript:a()) | ![x](http://a.example/x.png) `code` $x$ **粗**\n# 标题 \u202e"


def corpus(count: int = 40) -> pl.DataFrame:
    rows = pl.DataFrame(
        {
            "row_id": [f"row-{number}" for number in range(count)],
            "question": [
                f"男，{number}岁，咳嗽3天，诊断是什么？" + "\nA. 甲病\nB. 乙病" * (number % 4 == 0)
                for number in range(count)
            ],
            "reasoning": ["嗯，这个病人" + "咳嗽，" * number + "像是感冒。" for number in range(count)],
            "answer": ["感冒。" for _ in range(count)],
        }
    )
    return normalize_rows(rows, NormalizeSettings()).rows.with_columns(
        group_id=(pl.int_range(pl.len()) // 2).cast(pl.String),
        split=pl.when(pl.int_range(pl.len()) < 30).then(pl.lit("train")).otherwise(pl.lit("test")),
    )


def card(rows: pl.DataFrame | None = None, **changes: Any) -> str:
    usual: dict[str, Any] = {
        "source": {"kind": "file", "path": "rows.jsonl", "sha256": "ab" * 32},
        "funnel": [{"step": "read", "rows": 50}, {"step": "kept", "rows": 40}],
        "rules": [
            {
                "rule": "dots",
                "action": "convert",
                "rows": 3,
                "share": 0.06,
                "example_before": "3．5",
                "example_after": "3.5",
            }
        ],
        "rows": corpus() if rows is None else rows,
        "settings": {"normalize": {"min_answer_chars": 1}, "sft": {"max_tokens": 100}, "splits": {"salt": "a"}},
        "versions": {"polars": "2.1.0"},
        "overlap": [{"benchmark": "exam", "items": 100, "flagged": 3, "confirmed": 1}],
        "nearest": [{"between": "test / train", "similarity": 0.41, "left_id": "a", "right_id": "b"}],
    }
    return data_card(**{**usual, **changes})


def section(text: str, title: str) -> str:
    return text.split(f"## {title}\n\n", 1)[1].split("\n\n## ", 1)[0]


def test_the_card_has_every_section_in_order() -> None:
    assert re.findall(r"^## (.*)$", card(), re.MULTILINE) == [
        "Source",
        "From raw to kept",
        "What each rule did",
        "Splits",
        "Lengths in characters",
        "Lengths in tokens",
        "Length of a row",
        "Clusters",
        "Flags",
        "First 5 characters of the reasoning",
        "Nearest questions across splits",
        "Overlap with benchmarks",
        "Licences",
        "Known limits",
        "Settings",
        "Versions",
        "Reproduce",
    ]


@pytest.mark.parametrize(
    "text", ["not for clinical use", "gpt-4o", "apache-2.0", "exam questions", "medcot sync", "ab" * 32]
)
def test_the_card_says(text: str) -> None:
    assert text in card().lower()


def test_splits_are_counted_with_groups_and_kinds() -> None:
    lines = section(card(), "Splits").splitlines()
    assert lines[2] == "| train | 30 | 15 | 26.67% | 0.00% | 100.00% | 0.00% | 0.00% |"
    assert lines[-1].startswith("| all | 40 | 20 | 25.00% |")


def test_percentiles_are_those_of_the_field() -> None:
    rows = corpus().with_columns(answer=pl.Series(["答" * number for number in range(1, 41)]))
    line = next(line for line in section(card(rows), "Lengths in characters").splitlines() if "| all | answer" in line)
    assert line == "| all | answer | 3 | 21 | 38 | 40 | 40 |"


def test_tokens_are_reported_once_they_are_known() -> None:
    assert section(card(), "Lengths in tokens") == "Not counted yet."
    tokens = {f"tokens_{field}": pl.int_range(pl.len()) for field in ("question", "reasoning", "answer")}
    known = card(corpus().with_columns(**tokens))
    counted = "Counted in 40 of 40 rows. 6 of them (15.00%) are longer than the cutoff of 100 tokens."
    assert counted in section(known, "Lengths in tokens")
    assert section(known, "Length of a row").startswith("| tokens | rows |")


def test_tokens_known_for_some_rows_only_are_not_passed_off_as_all() -> None:
    known = pl.when(pl.col("split") == "train").then(pl.int_range(pl.len()))
    text = card(corpus().with_columns(**{f"tokens_{field}": known for field in ("question", "reasoning", "answer")}))
    assert "Counted in 30 of 40 rows." in section(text, "Lengths in tokens")
    assert section(text, "Length of a row").startswith("| characters | rows |")


def test_the_histogram_holds_every_row() -> None:
    counts = [int(line.split(" | ")[1]) for line in section(card(), "Length of a row").splitlines()[2:]]
    assert sum(counts) == 40


def test_clusters_flags_and_openings_are_counted() -> None:
    text = card()
    assert "| 2 | 20 | 40 | ████" in section(text, "Clusters")
    assert "| has_options | 10 | 25.00% |" in section(text, "Flags")
    assert "| 嗯，这个病 | 40 | 100.00% |" in section(text, "First 5 characters of the reasoning")


def test_no_benchmark_is_said_plainly() -> None:
    assert section(card(overlap=[]), "Overlap with benchmarks").startswith("No benchmark was screened")


def test_text_from_outside_stays_text() -> None:
    rules = [
        {"rule": "dots", "action": "convert", "rows": 1, "share": 0.1, "example_before": HOSTILE, "example_after": ""}
    ]
    rows = corpus().with_columns(reasoning=pl.lit("<b>|`x"))
    text = card(
        rows,
        rules=rules,
        source={"path": HOSTILE},
        settings={"splits": {"salt": HOSTILE}},
        overlap=[{"evidence": HOSTILE}],
    )
    for active in ("<script", "[点我]", "![x]", "`code`", "**粗", "http://a", "<b>|", "\u202e", "$x$"):
        assert active not in text
    widths = {line.count(" | ") for line in section(text, "What each rule did").splitlines()}
    assert widths == {5}


def test_a_corpus_without_rows_has_a_card() -> None:
    text = card(corpus().clear(), rules=[], funnel=[], overlap=[])
    assert text.startswith("# Data card\n\n0 rows") and "| all | 0 |" in text


def test_the_card_does_not_depend_on_the_order_of_rows() -> None:
    assert card(corpus().reverse()) == card(corpus())


def test_cells_are_written_for_people() -> None:
    assert [cell(1234567), cell(0.12345), cell(0.5, share=True), cell(None), cell(True), cell(["a", "b"])] == [
        *["1,234,567", "0.1235", "50.00%", "–", "yes", "a, b"]
    ]


def test_long_text_is_cut_with_a_mark() -> None:
    assert len(plain("长" * 1_000_000)) == LONGEST and plain("长" * 1_000_000).endswith("…")


def test_rows_with_other_columns_share_a_table() -> None:
    assert table([{"a": 1}, {"b": 2}]) == "| a | b |\n| --- | --- |\n| 1 | – |\n| – | 2 |"


def test_nested_settings_are_flattened() -> None:
    assert flatten({"a": {"b": 1}, "c": None}) == [{"name": "a.b", "value": 1}, {"name": "c", "value": "None"}]


def test_a_bar_is_never_empty_for_a_count() -> None:
    assert (bar(1, 1000), bar(0, 1000), bar(0, 0)) == ("█", "", "")
