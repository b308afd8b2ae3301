"""The data card: what the corpus is, where it comes from, what was done to it and what it cannot be used for.

Belongs here: the sections of the card and the figures that follow from the rows.
Does not: figures that other stages measured (funnel, rules, overlap), the form of a table (markdown.py).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from medcot_pipeline.corpus.markdown import bar, flatten, table

FIELDS = ("question", "reasoning", "answer")
SPLITS = ("train", "validation", "test")
QUANTILES = (0.05, 0.50, 0.95, 0.99)
OPENING_CHARS = 5
OPENINGS = 15
HISTOGRAM_BINS = 12
CLUSTER_SIZES = ((1, 1), (2, 2), (3, 5), (6, 10), (11, 100), (101, None))
TRADITIONAL_MEDICINE = "中医|辨证|证属|治宜|舌[质淡红紫苔]|苔[薄白黄腻]|脉[弦细沉浮数滑]"
"""Words by which a question is counted as traditional Chinese medicine."""

LICENCES = """\
1. The questions come from exams: CMB-Exam (Chinese), MedQA-USMLE and MedMCQA (English), each under its own terms.
2. `FreedomIntelligence/medical-o1-reasoning-SFT` adds reasoning and responses by GPT-4o; its card says Apache-2.0.
   OpenAI's terms of use also apply to output of GPT-4o.
3. This corpus is a filtered and normalised copy and passes all of these terms on. Rows from other sources keep theirs."""

LIMITS = """\
- The reasoning was written by GPT-4o and no clinician reviewed it. The authors checked their verifier on 200 rows
  (96.5 % right), so wrong answers and wrong arithmetic in the reasoning must be expected.
- The questions are exam questions: one best answer, complete vignettes, rare diseases too often, follow-up missing.
- Lost exponents and misread digits are flagged, never repaired: what stood there cannot be known.
- Near-duplicates are told by their characters: a paraphrase in other words may remain, also across splits.
- A benchmark row that is flagged shares text with a training row; only a confirmed one is the same question.
- **Not for clinical use**: neither the rows nor a model trained on them may guide the care of a person."""

REPRODUCE = """\
```
medcot sync
```

The settings, versions and checksums of this card decide the result: the same ones give the same rows, splits and card."""


def data_card(
    *,
    source: Mapping[str, Any],
    funnel: Sequence[Mapping[str, Any]],
    rules: Sequence[Mapping[str, Any]],
    rows: pl.DataFrame,
    settings: Mapping[str, Any],
    versions: Mapping[str, str],
    overlap: Sequence[Mapping[str, Any]],
) -> str:
    """The data card of a corpus, in Markdown; every text from outside is escaped.

    Args:
        source: name, revision, file, sha256, licence and whatever else identifies the source; may be nested.
        funnel: rows after each step, a mapping per step.
        rules: `NormalizedCorpus.rules`.
        rows: the rows that are left, with `row_id`, `question`, `reasoning`, `answer`, `key`, `language`, `flags`,
            `group_id`, `split` and, when known, `tokens_question`, `tokens_reasoning`, `tokens_answer`.
        settings: the settings of the corpus' stages, nested by section; `sft.max_tokens` is the cutoff, in tokens.
        versions: version by library or algorithm.
        overlap: counts per benchmark, empty if none was screened.
    """
    sections = {
        "Source": table(flatten(source)),
        "From raw to kept": f"{_or_none(funnel)}\n\n`removed.parquet` has every removed row, with the reason.",
        "What each rule did": _or_none(rules),
        "Splits": table([_split_row(name, part) for name, part in _parts(rows)]),
        "Lengths in characters": table(_length_rows(rows, FIELDS)),
        "Lengths in tokens": _token_lengths(rows, settings),
        "Length of a row": _histogram(rows),
        "Clusters": _clusters(rows),
        "Flags": _or_none(_flag_rows(rows)),
        f"First {OPENING_CHARS} characters of the reasoning": _or_none(_opening_rows(rows)),
        "Overlap with benchmarks": table(overlap) if overlap else "No benchmark was screened (`splits.benchmark_dir`).",
        "Licences": LICENCES,
        "Known limits": LIMITS,
        "Settings": table(flatten(settings)),
        "Versions": table(flatten(versions)),
        "Reproduce": REPRODUCE,
    }
    head = f"# Data card\n\n{rows.height:,} rows: {_mix(rows)}."
    return head + "".join(f"\n\n## {title}\n\n{body}" for title, body in sections.items()) + "\n"


def _or_none(rows: Sequence[Mapping[str, Any]]) -> str:
    return table(rows) if rows else "None."


def _parts(rows: pl.DataFrame) -> list[tuple[str, pl.DataFrame]]:
    """The splits in their usual order, others after them, and all rows last."""
    names = sorted(
        rows["split"].unique().to_list(), key=lambda name: (SPLITS.index(name) if name in SPLITS else 9, name)
    )
    return [*((name, rows.filter(pl.col("split") == name)) for name in names), ("all", rows)]


def _share(rows: pl.DataFrame, condition: pl.Expr) -> float | None:
    return rows.filter(condition).height / rows.height if rows.height else None


def _flagged(flag: str) -> pl.Expr:
    return pl.col("flags").list.contains(flag)


def _split_row(name: str, rows: pl.DataFrame) -> dict[str, Any]:
    languages = {f"{code}_share": _share(rows, pl.col("language") == code) for code in ("zh", "en", "mixed")}
    return {
        "split": name,
        "rows": rows.height,
        "groups": rows["group_id"].n_unique(),
        "with_options_share": _share(rows, _flagged("has_options")),
        "traditional_medicine_share": _share(rows, pl.col("question").str.contains(TRADITIONAL_MEDICINE)),
        **languages,
    }


def _mix(rows: pl.DataFrame) -> str:
    counts = rows.group_by("split").len().sort("split").rows()
    order = sorted(counts, key=lambda count: SPLITS.index(count[0]) if count[0] in SPLITS else 9)
    return ", ".join(f"{count:,} in {cell_name}" for cell_name, count in order) or "none"


def _length_rows(rows: pl.DataFrame, columns: Sequence[str]) -> list[dict[str, Any]]:
    """Percentiles per split and column: characters of a text, or the value itself."""
    found = []
    for split, part in _parts(rows):
        for column in columns:
            values = part[column].str.len_chars() if part.schema[column] == pl.String else part[column]
            quantiles = {f"p{share * 100:.0f}": _quantile(values, share) for share in QUANTILES}
            found.append({"split": split, "field": column.removeprefix("tokens_"), **quantiles, "max": values.max()})
    return found


def _quantile(values: pl.Series, share: float) -> int | None:
    value = values.quantile(share, interpolation="nearest")
    return None if value is None else int(value)


def _tokens(rows: pl.DataFrame) -> pl.Series | None:
    """Tokens of whole rows, if every row's are known."""
    columns = [f"tokens_{field}" for field in FIELDS]
    known = all(column in rows.columns and rows[column].null_count() == 0 for column in columns)
    return rows.select(pl.sum_horizontal(columns)).to_series() if known else None


def _token_lengths(rows: pl.DataFrame, settings: Mapping[str, Any]) -> str:
    tokens = _tokens(rows)
    if tokens is None:
        return "Not counted yet."
    lengths = table(_length_rows(rows, [f"tokens_{field}" for field in FIELDS]))
    cutoff = settings.get("sft", {}).get("max_tokens")
    if cutoff is None or not rows.height:
        return lengths
    over = int((tokens > cutoff).sum())
    return f"{lengths}\n\n{over:,} rows ({over / rows.height:.2%}) are longer than the cutoff of {cutoff:,} tokens."


def _histogram(rows: pl.DataFrame) -> str:
    """Rows by length: in tokens where they are known, else in characters."""
    tokens = _tokens(rows)
    lengths = (
        tokens if tokens is not None else rows.select(pl.sum_horizontal(pl.col(*FIELDS).str.len_chars())).to_series()
    )
    if not rows.height:
        return "None."
    width = max(1, -(-(int(lengths.max()) + 1) // HISTOGRAM_BINS))  # type: ignore[arg-type]
    counts = dict((lengths // width).value_counts().rows())
    unit = "characters" if tokens is None else "tokens"
    largest = max(counts.values())
    bins = [(number * width, counts.get(number, 0)) for number in range(max(counts) + 1)]
    return table(
        [{unit: f"{start:,}–{start + width - 1:,}", "rows": count, "": bar(count, largest)} for start, count in bins]
    )


def _clusters(rows: pl.DataFrame) -> str:
    """Groups by their size; rows of one group are always in one split."""
    sizes = rows.group_by("group_id").len()["len"]
    found = []
    for least, most in CLUSTER_SIZES:
        within = sizes.filter((sizes >= least) & (sizes <= (most or rows.height)))
        name = f"{least}" if least == most else f"{least}–{most}" if most else f"{least} and more"
        found.append({"rows_in_group": name, "groups": within.len(), "rows": int(within.sum())})
    largest = max(row["groups"] for row in found)
    return table([{**row, "": bar(row["groups"], largest)} for row in found])


def _flag_rows(rows: pl.DataFrame) -> list[dict[str, Any]]:
    counts = rows["flags"].explode().drop_nulls().value_counts().sort(["count", "flags"], descending=[True, False])
    return [{"flag": flag, "rows": count, "share": count / rows.height} for flag, count in counts.rows()]


def _opening_rows(rows: pl.DataFrame) -> list[dict[str, Any]]:
    openings = rows.select(opening=pl.col("reasoning").str.slice(0, OPENING_CHARS)).group_by("opening").len()
    ordered = openings.sort(["len", "opening"], descending=[True, False]).head(OPENINGS)
    return [{"opening": opening, "rows": count, "share": count / rows.height} for opening, count in ordered.rows()]
