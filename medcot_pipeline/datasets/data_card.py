"""The data card: what the corpus is, where it comes from, what was done to it and what it cannot be used for.

Belongs here: the sections of the card and the figures that follow from the rows.
Does not: figures that other stages measured (funnel, rules, overlap), the form of a table (support/markdown.py).
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from medcot_pipeline.corpus.normalize.options import split_options
from medcot_pipeline.support.markdown import bar, flatten, plain, table

SUMMARY = "aside/summary.json"
"""Where an artifact of the corpus keeps what happened to the rows up to it, which the card tells."""
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
Rows of `FreedomIntelligence/medical-o1-reasoning-SFT`:

1. The questions come from exams: CMB-Exam (Chinese), MedQA-USMLE and MedMCQA (English), each under its own terms.
2. GPT-4o wrote reasoning and responses: see OpenAI's terms of use.
3. The data set's card says Apache-2.0.

Rows of any other source keep that source's licence. This corpus is a filtered and normalised copy and changes none."""

LIMITS = """\
- In the published data set GPT-4o wrote the reasoning and no clinician reviewed it; the authors found their verifier
  right on 96.5 % of 200 rows. Expect wrong answers, and wrong arithmetic in long reasoning.
- The questions are exam questions: a complete vignette and one best answer, which practice rarely offers.
- Lost exponents and misread digits are flagged, never repaired: what stood there cannot be known.
- Near-duplicates are told by their characters: a paraphrase in other words may remain, also across splits.
- A benchmark row that is flagged shares text with a training row; only a confirmed one is the same question.
- **Not for clinical use**: neither the rows nor a model trained on them may guide the care of a person."""

REPRODUCE = """\
```
medcot sync
```

The source's checksum, the settings and the versions above decide the rows, the splits and this card."""


def data_card(
    *,
    source: Mapping[str, Any],
    funnel: Sequence[Mapping[str, Any]],
    rules: Sequence[Mapping[str, Any]],
    rows: pl.DataFrame,
    settings: Mapping[str, Any],
    versions: Mapping[str, str],
    overlap: Sequence[Mapping[str, Any]],
    nearest: Sequence[Mapping[str, Any]],
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
        nearest: the most similar pair of questions between every two splits.
    """
    rows = rows.with_columns(
        options=pl.Series([bool(split_options(text).options) for text in rows["question"]], dtype=pl.Boolean)
    )
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
        "Nearest questions across splits": _or_none(nearest),
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


def _split_row(name: str, rows: pl.DataFrame) -> dict[str, Any]:
    languages = {f"{code}_share": _share(rows, pl.col("language") == code) for code in ("zh", "en", "mixed")}
    return {
        "split": name,
        "rows": rows.height,
        "groups": rows["group_id"].n_unique(),
        "mcq_share": _share(rows, pl.col("options")),
        "traditional_medicine_share": _share(rows, pl.col("question").str.contains(TRADITIONAL_MEDICINE)),
        **languages,
    }


def _mix(rows: pl.DataFrame) -> str:
    return ", ".join(f"{part.height:,} in {plain(name)}" for name, part in _parts(rows)[:-1]) or "none"


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


def _with_tokens(rows: pl.DataFrame) -> pl.DataFrame:
    """Rows whose tokens are known, with their sum in `tokens`."""
    columns = [f"tokens_{field}" for field in FIELDS]
    if not set(columns) <= set(rows.columns):
        return rows.clear()
    return rows.drop_nulls(columns).with_columns(tokens=pl.sum_horizontal(columns))


def _token_lengths(rows: pl.DataFrame, settings: Mapping[str, Any]) -> str:
    counted = _with_tokens(rows)
    if counted.is_empty():
        return "Not counted yet."
    lengths = table(_length_rows(counted, [f"tokens_{field}" for field in FIELDS]))
    note = f"Counted in {counted.height:,} of {rows.height:,} rows."
    cutoff = settings.get("sft", {}).get("max_tokens")
    if cutoff is not None:
        over = counted.filter(pl.col("tokens") > cutoff).height
        note += f" {over:,} of them ({over / counted.height:.2%}) are longer than the cutoff of {cutoff:,} tokens."
    return f"{lengths}\n\n{note}"


def _histogram(rows: pl.DataFrame) -> str:
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


def _clusters(rows: pl.DataFrame) -> str:
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


def _flag_rows(rows: pl.DataFrame) -> list[dict[str, Any]]:
    counts = rows["flags"].explode().drop_nulls().value_counts().sort(["count", "flags"], descending=[True, False])
    return [{"flag": flag, "rows": count, "share": count / rows.height} for flag, count in counts.rows()]


def _opening_rows(rows: pl.DataFrame) -> list[dict[str, Any]]:
    openings = rows.select(opening=pl.col("reasoning").str.slice(0, OPENING_CHARS)).group_by("opening").len()
    ordered = openings.sort(["len", "opening"], descending=[True, False]).head(OPENINGS)
    return [{"opening": opening, "rows": count, "share": count / rows.height} for opening, count in ordered.rows()]
