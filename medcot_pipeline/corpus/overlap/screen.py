"""Overlap of the corpus with evaluation benchmarks.

Belongs here: comparing question stems with benchmark stems, and the evidence for each hit.
Does not belong here: reading benchmarks (benchmark_files.py), sets of grams (grams.py), taking rows out (the caller, by
`drop_confirmed_from_train`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from medcot_pipeline.corpus.dedup.similar.arrays import distinct
from medcot_pipeline.corpus.dedup.similar.edits import difference
from medcot_pipeline.corpus.normalize.options import split_options
from medcot_pipeline.corpus.normalize.text import comparison_key, normalize_text
from medcot_pipeline.corpus.overlap.benchmark_files import Benchmark, read_benchmarks
from medcot_pipeline.corpus.overlap.grams import gram_set, gram_sets, grams_of

SHORTEST_KEY = 8
CONTAINMENT = 0.70
JACCARD = 0.70
LEAST_SHARED = 8  # grams of a hit by containment: less, unless it is a whole key, is a phrase of any question
LONGEST_BY_EDITS = 34
EDITS = 0.85
_ROWS_AT_ONCE = 2_000
_EVIDENCE_CHARS = 300
HITS_SCHEMA = {
    "row_id": pl.String,
    "split": pl.String,
    "benchmark": pl.String,
    "benchmark_item": pl.String,
    "method": pl.String,
    "containment": pl.Float64,
    "jaccard": pl.Float64,
    "evidence": pl.String,
    "verdict": pl.String,
}
PAIRS_SCHEMA = {
    "row": pl.Int64,
    "item": pl.Int64,
    "containment": pl.Float64,
    "jaccard": pl.Float64,
    "method": pl.String,
    "verdict": pl.String,
}
SUMMARY_SCHEMA = {
    "benchmark": pl.String,
    "items": pl.Int64,
    "too_short": pl.Int64,
    "no_question": pl.Int64,
    "unreadable": pl.Int64,
    "flagged": pl.Int64,
    "confirmed": pl.Int64,
    "note": pl.String,
}


@dataclass(frozen=True)
class Overlap:
    """Hits with their evidence (HITS_SCHEMA), and rows flagged and confirmed per benchmark file (SUMMARY_SCHEMA)."""

    hits: pl.DataFrame
    summary: pl.DataFrame


def screen_overlap(
    rows: pl.DataFrame, benchmark_dir: Path, question_field: str = "question", fields: Mapping[str, str] | None = None
) -> Overlap:
    """Compare every row with every item of the benchmarks in a folder, by stem without options.

    A row and an item are compared by their sets A and B of character 5-grams of the comparison key: Jaccard
    similarity |A ∩ B| / |A ∪ B|, and containment |A ∩ B| / min(|A|, |B|) (Broder 1997). Verdicts: "confirmed" where
    the keys are equal or Jaccard is 0.70 or more; "flagged" where containment is 0.70 or more with eight shared grams
    or more, where one key stands whole in the other, and where two keys of 34 characters or fewer, which one changed
    character takes below a Jaccard of 0.70, have a Levenshtein similarity of 0.85 or more. Flagged is not contaminated:
    a short stem may be a part of an unrelated long one. Keys of fewer than eight characters are not compared and
    counted as too short. A row has its strongest hit in each benchmark file.

    Args:
        rows: `row_id`, `split`, `key`: str.
        benchmark_dir: folder of benchmark files.
        question_field: field of the question in those files.
        fields: the field by file name or path within the folder, where it differs.

    Raises:
        MedcotError: a file cannot be read or has no such field; names the file and its fields.
    """
    hits, summary = [pl.DataFrame(schema=HITS_SCHEMA)], []
    for benchmark in read_benchmarks(benchmark_dir, question_field, fields or {}):
        found, too_short = screen_benchmark(rows, benchmark)
        hits.append(found)
        count = found["verdict"].to_list().count
        left_out = (too_short, benchmark.no_question, benchmark.unreadable)
        total = len(benchmark.items) + benchmark.no_question + benchmark.unreadable
        summary.append((benchmark.name, total, *left_out, count("flagged"), count("confirmed"), benchmark.note))
    return Overlap(pl.concat(hits), pl.DataFrame(summary, schema=SUMMARY_SCHEMA, orient="row"))


def screen_benchmark(rows: pl.DataFrame, benchmark: Benchmark) -> tuple[pl.DataFrame, int]:
    """The strongest hit of each row, by row_id, and the number of items whose key is too short (`screen_overlap`)."""
    rows, items = _with_long_keys(rows), _items(benchmark)
    long = items.filter(pl.col("key").str.len_chars() >= SHORTEST_KEY)
    distinct_items = long.unique("key", keep="first", maintain_order=True)
    pairs = _near_pairs(rows, distinct_items).unique("row", keep="first", maintain_order=True)
    records = []
    for pair in pairs.iter_rows(named=True):
        row_id, split, key = rows.row(pair["row"])
        name, stem, item_key = distinct_items.row(pair["item"])
        shown = stem[:_EVIDENCE_CHARS] + (f" | {difference(item_key, key)}" if pair["method"] != "key" else "")
        measured = (pair["method"], pair["containment"], pair["jaccard"], shown, pair["verdict"])
        records.append((row_id, split, benchmark.name, name, *measured))
    return pl.DataFrame(records, schema=HITS_SCHEMA, orient="row"), items.height - long.height


def overlapping_items(rows: pl.DataFrame, benchmark: Benchmark) -> dict[str, str]:
    """The verdict of every item that a row overlaps with: "confirmed" where any row is, else "flagged"."""
    items = _items(benchmark).filter(pl.col("key").str.len_chars() >= SHORTEST_KEY)
    names, pairs = items["item"], _near_pairs(_with_long_keys(rows), items)
    verdicts: dict[str, str] = {}
    for item, verdict in pairs.select("item", "verdict").iter_rows():
        if verdict == "confirmed" or names[item] not in verdicts:
            verdicts[names[item]] = verdict
    return verdicts


def _with_long_keys(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.filter(pl.col("key").str.len_chars() >= SHORTEST_KEY).select("row_id", "split", "key").sort("row_id")


def _items(benchmark: Benchmark) -> pl.DataFrame:
    """`item`, `stem` and `key` of every item."""
    stems = [split_options(normalize_text(question)).stem for question in benchmark.questions]
    columns = {"item": benchmark.items, "stem": stems, "key": [comparison_key(stem) for stem in stems]}
    return pl.DataFrame(columns, schema=dict.fromkeys(columns, pl.String))


def _near_pairs(rows: pl.DataFrame, items: pl.DataFrame) -> pl.DataFrame:
    """Every pair that is a hit (PAIRS_SCHEMA: numbers of a row and an item), by row, the strongest first."""
    found = [pl.DataFrame(schema=PAIRS_SCHEMA)]
    if items.height:
        vocabulary = distinct(grams_of(items["key"].to_list())[0])
        matrix, sizes = gram_sets(items["key"].to_list(), vocabulary)
        across = matrix.T.tocsr()
        for start in range(0, rows.height, _ROWS_AT_ONCE):
            chunk = rows.slice(start, _ROWS_AT_ONCE)
            row_matrix, row_sizes = gram_sets(chunk["key"].to_list(), vocabulary)
            shared = (row_matrix @ across).tocoo()
            pairs = pl.concat([_by_grams(chunk, items, shared, row_sizes, sizes), _by_edits(chunk, items)])
            found.append(pairs.with_columns(row=pl.col("row") + start))
    every = pl.concat(found).unique(["row", "item"], keep="first", maintain_order=True)
    return every.sort("row", "jaccard", "containment", "item", descending=[False, True, True, False])


def _by_grams(
    rows: pl.DataFrame,
    items: pl.DataFrame,
    shared: Any,
    row_sizes: NDArray[np.int64],
    item_sizes: NDArray[np.int64],
) -> pl.DataFrame:
    row, item, common = shared.row.astype(np.int64), shared.col.astype(np.int64), shared.data
    containment = common / np.minimum(row_sizes[row], item_sizes[item])
    jaccard = common / (row_sizes[row] + item_sizes[item] - common)
    near = (jaccard >= JACCARD) | ((containment >= CONTAINMENT) & (common >= LEAST_SHARED)) | (containment == 1)
    pairs = pl.DataFrame(
        {"row": row[near], "item": item[near], "containment": containment[near], "jaccard": jaccard[near]},
        schema_overrides={"containment": pl.Float64, "jaccard": pl.Float64},
    )
    equal = rows["key"].gather(pairs["row"]) == items["key"].gather(pairs["item"])
    method = pl.when(equal).then(pl.lit("key")).when(pl.col("jaccard") >= JACCARD).then(pl.lit("jaccard"))
    verdict = pl.when(pl.col("method") == "containment").then(pl.lit("flagged")).otherwise(pl.lit("confirmed"))
    return pairs.with_columns(method=method.otherwise(pl.lit("containment"))).with_columns(verdict=verdict)


def _by_edits(rows: pl.DataFrame, items: pl.DataFrame) -> pl.DataFrame:
    """Pairs of short keys with few changed characters."""
    from rapidfuzz.distance import Levenshtein
    from rapidfuzz.process import cdist

    short = pl.col("key").str.len_chars() <= LONGEST_BY_EDITS
    left, right = (table.with_row_index("number").filter(short) for table in (rows, items))
    alike = cdist(left["key"], right["key"], scorer=Levenshtein.normalized_similarity, score_cutoff=EDITS)
    one, other = np.nonzero(alike >= EDITS)
    pairs = []
    for row, item in zip(left["number"].gather(one), right["number"].gather(other), strict=True):
        mine, theirs = (gram_set(table["key"][place]) for table, place in ((rows, row), (items, item)))
        common = len(mine & theirs)
        shares = (common / min(len(mine), len(theirs)), common / len(mine | theirs))
        pairs.append((row, item, *shares, "edits", "flagged"))
    return pl.DataFrame(pairs, schema=PAIRS_SCHEMA, orient="row")
