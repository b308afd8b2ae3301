"""Figures of the data card that follow from its rows.

Belongs here: counting and measuring rows, by split where that says more.
Does not belong here: the sections of the card (data_card.py), the form of a table (support/markdown.py).
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from medcot_pipeline.support.markdown import bar, plain, table

FIELDS = ("question", "reasoning", "answer")
SPLITS = ("train", "validation", "test")
QUANTILES = (0.05, 0.50, 0.95, 0.99)
OPENING_CHARS = 5
OPENINGS = 15
HISTOGRAM_BINS = 12
CLUSTER_SIZES = ((1, 1), (2, 2), (3, 5), (6, 10), (11, 100), (101, None))
TRADITIONAL_MEDICINE = "中医|辨证|证属|治宜|舌[质淡红紫苔]|苔[薄白黄腻]|脉[弦细沉浮数滑]"
"""Words by which a question is counted as traditional Chinese medicine."""


def parts(rows: pl.DataFrame) -> list[tuple[str, pl.DataFrame]]:
    """The splits in their usual order, others after them, and all rows last."""
    names = sorted(
        rows["split"].unique().to_list(), key=lambda name: (SPLITS.index(name) if name in SPLITS else 9, name)
    )
    return [*((name, rows.filter(pl.col("split") == name)) for name in names), ("all", rows)]


def _share(rows: pl.DataFrame, condition: pl.Expr) -> float | None:
    return rows.filter(condition).height / rows.height if rows.height else None


def split_row(name: str, rows: pl.DataFrame) -> dict[str, Any]:
    """What one split holds: rows, groups, and shares in [0, 1], None without rows."""
    languages = {f"{code}_share": _share(rows, pl.col("language") == code) for code in ("zh", "en", "mixed")}
    return {
        "split": name,
        "rows": rows.height,
        "groups": rows["group_id"].n_unique(),
        "mcq_share": _share(rows, pl.col("options")),
        "traditional_medicine_share": _share(rows, pl.col("question").str.contains(TRADITIONAL_MEDICINE)),
        **languages,
    }


def mix(rows: pl.DataFrame) -> str:
    """Rows by split, in words."""
    return ", ".join(f"{part.height:,} in {plain(name)}" for name, part in parts(rows)[:-1]) or "none"


def length_rows(rows: pl.DataFrame, columns: Sequence[str]) -> list[dict[str, Any]]:
    """Percentiles per split and column: characters of a text, or the value itself."""
    found = []
    for split, part in parts(rows):
        for column in columns:
            values = part[column].str.len_chars() if part.schema[column] == pl.String else part[column]
            quantiles = {f"p{share * 100:.0f}": _quantile(values, share) for share in QUANTILES}
            found.append({"split": split, "field": column.removeprefix("tokens_"), **quantiles, "max": values.max()})
    return found


def _quantile(values: pl.Series, share: float) -> int | None:
    value = values.quantile(share, interpolation="nearest")
    return None if value is None else int(value)


def _with_tokens(rows: pl.DataFrame) -> pl.DataFrame:
    """Rows whose tokens are known, with their sum in `tokens`."""
    columns = [f"tokens_{field}" for field in FIELDS]
    if not set(columns) <= set(rows.columns):
        return rows.clear()
    return rows.drop_nulls(columns).with_columns(tokens=pl.sum_horizontal(columns))


def token_lengths(rows: pl.DataFrame, settings: Mapping[str, Any]) -> str:
    """Percentiles of the fields in tokens, and how many rows are longer than the cutoff, where tokens were counted."""
    counted = _with_tokens(rows)
    if counted.is_empty():
        return "Not counted yet."
    lengths = table(length_rows(counted, [f"tokens_{field}" for field in FIELDS]))
    note = f"Counted in {counted.height:,} of {rows.height:,} rows."
    cutoff = settings.get("sft", {}).get("max_tokens")
    if cutoff is not None:
        over = counted.filter(pl.col("tokens") > cutoff).height
        note += f" {over:,} of them ({over / counted.height:.2%}) are longer than the cutoff of {cutoff:,} tokens."
    return f"{lengths}\n\n{note}"


def histogram(rows: pl.DataFrame) -> str:
    """Rows by length: in tokens where all are known, else in characters."""
    if rows.is_empty():
        return "None."
    counted = _with_tokens(rows)
    in_tokens = counted.height == rows.height
    lengths = (
        counted["tokens"] if in_tokens else rows.select(pl.sum_horizontal(pl.col(*FIELDS).str.len_chars())).to_series()
    )
    width = max(lengths.to_list()) // HISTOGRAM_BINS + 1
    counts = Counter((lengths // width).to_list())
    largest = max(counts.values())
    bins = [(number * width, counts[number]) for number in range(max(counts) + 1)]
    unit = "tokens" if in_tokens else "characters"
    return table(
        [{unit: f"{start:,}–{start + width - 1:,}", "rows": count, "": bar(count, largest)} for start, count in bins]
    )


def clusters(rows: pl.DataFrame) -> str:
    """Groups by their size; rows of one group are always in one split."""
    sizes = rows.group_by("group_id").len()["len"]
    classes = []
    for least, most in CLUSTER_SIZES:
        name = f"{least}" if least == most else f"{least}–{most}" if most else f"{least} and more"
        classes.append((name, sizes.filter((sizes >= least) & (sizes <= (most or rows.height)))))
    largest = max(within.len() for _, within in classes)
    return table(
        [
            {"rows_in_group": name, "groups": within.len(), "rows": int(within.sum()), "": bar(within.len(), largest)}
            for name, within in classes
        ]
    )


def flag_rows(rows: pl.DataFrame) -> list[dict[str, Any]]:
    """Rows by flag, the most frequent first."""
    counts = rows["flags"].explode().drop_nulls().value_counts().sort(["count", "flags"], descending=[True, False])
    return [{"flag": flag, "rows": count, "share": count / rows.height} for flag, count in counts.rows()]


def opening_rows(rows: pl.DataFrame) -> list[dict[str, Any]]:
    """The most frequent beginnings of a reasoning, with their share of the rows."""
    openings = rows.select(opening=pl.col("reasoning").str.slice(0, OPENING_CHARS)).group_by("opening").len()
    ordered = openings.sort(["len", "opening"], descending=[True, False]).head(OPENINGS)
    return [{"opening": opening, "rows": count, "share": count / rows.height} for opening, count in ordered.rows()]
