"""Overlap of the corpus with evaluation benchmarks.

Belongs here: comparing question stems with benchmark stems, and the evidence for each hit.
Does not: reading benchmarks (benchmark_files.py), taking rows out (the caller, by `drop_confirmed_from_train`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from medcot_pipeline.corpus.arrays import distinct, place_in_run
from medcot_pipeline.corpus.benchmark_files import Benchmark, read_benchmarks
from medcot_pipeline.corpus.candidates import mixed
from medcot_pipeline.corpus.edits import difference
from medcot_pipeline.corpus.normalize import comparison_key, normalize_text
from medcot_pipeline.corpus.options import split_options

GRAM = 5
SHORTEST_KEY = 8
CONTAINMENT = 0.70
JACCARD = 0.70
LEAST_SHARED = 8  # grams of a hit by containment: less is a phrase that any question may have
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
SUMMARY_SCHEMA = {
    "benchmark": pl.String,
    "items": pl.Int64,
    "skipped": pl.Int64,
    "flagged": pl.Int64,
    "confirmed": pl.Int64,
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
    the keys are equal or Jaccard is 0.70 or more, "flagged" where only containment is 0.70 or more, with eight shared
    grams or more. Flagged is not contaminated: a short stem may be a part of an unrelated long one. Keys of fewer than
    eight characters are skipped. A row has its strongest hit in each benchmark file.

    Args:
        rows: `row_id`, `split`, `key`: str.
        benchmark_dir: folder of .json, .jsonl, .csv and .parquet files.
        question_field: field of the question in those files.
        fields: the field by file name, where it differs.

    Raises:
        MedcotError: a file cannot be read or has no such field; names the file and its fields.
    """
    hits, summary = [pl.DataFrame(schema=HITS_SCHEMA)], []
    for benchmark in read_benchmarks(benchmark_dir, question_field, fields or {}):
        found, skipped = screen_benchmark(rows, benchmark)
        hits.append(found)
        count = found["verdict"].to_list().count
        summary.append((benchmark.name, len(benchmark.items), skipped, count("flagged"), count("confirmed")))
    return Overlap(pl.concat(hits), pl.DataFrame(summary, schema=SUMMARY_SCHEMA, orient="row"))


def screen_benchmark(rows: pl.DataFrame, benchmark: Benchmark) -> tuple[pl.DataFrame, int]:
    """The strongest hit of each row, by row_id, and the number of items whose key is too short (`screen_overlap`)."""
    rows = rows.filter(pl.col("key").str.len_chars() >= SHORTEST_KEY).select("row_id", "split", "key").sort("row_id")
    stems = [split_options(normalize_text(question)).stem for question in benchmark.questions]
    table = pl.DataFrame({"item": benchmark.items, "stem": stems}, schema={"item": pl.String, "stem": pl.String})
    table = table.with_columns(pl.Series("key", [comparison_key(stem) for stem in stems], dtype=pl.String))
    table = table.filter(pl.col("key").str.len_chars() >= SHORTEST_KEY).unique("key", keep="first", maintain_order=True)
    skipped = sum(len(comparison_key(stem)) < SHORTEST_KEY for stem in stems)
    found = [pl.DataFrame(schema=HITS_SCHEMA)]
    if table.height:
        vocabulary = distinct(_grams(table["key"].to_list())[0])
        items, item_sizes = _sets(table["key"].to_list(), vocabulary)
        across = items.T.tocsr()
        for chunk in rows.iter_slices(_ROWS_AT_ONCE):
            matrix, sizes = _sets(chunk["key"].to_list(), vocabulary)
            found.append(_judged(chunk, table, (matrix @ across).tocoo(), sizes, item_sizes, benchmark.name))
    return pl.concat(found), skipped


def _judged(
    rows: pl.DataFrame,
    items: pl.DataFrame,
    shared: Any,
    sizes: NDArray[np.int64],
    item_sizes: NDArray[np.int64],
    benchmark: str,
) -> pl.DataFrame:
    row, item, common = shared.row.astype(np.int64), shared.col.astype(np.int64), shared.data
    containment = common / np.minimum(sizes[row], item_sizes[item])
    jaccard = common / (sizes[row] + item_sizes[item] - common)
    near = (jaccard >= JACCARD) | ((containment >= CONTAINMENT) & (common >= LEAST_SHARED))
    row, item, containment, jaccard = row[near], item[near], containment[near], jaccard[near]
    order = np.lexsort((item, -containment, -jaccard, row))
    best = order[place_in_run(row[order]) == 0]
    records = []
    for one, other, contained, similar in zip(
        row[best].tolist(), item[best].tolist(), containment[best].tolist(), jaccard[best].tolist(), strict=True
    ):
        row_id, split, key = rows.row(one)
        name, stem, item_key = items.row(other)
        method = "key" if key == item_key else "jaccard" if similar >= JACCARD else "containment"
        evidence = stem[:_EVIDENCE_CHARS] + (f" | {difference(item_key, key)}" if method != "key" else "")
        verdict = "flagged" if method == "containment" else "confirmed"
        records.append((row_id, split, benchmark, name, method, contained, similar, evidence, verdict))
    return pl.DataFrame(records, schema=HITS_SCHEMA, orient="row")


def _grams(keys: list[str]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """64-bit hashes of all 5-grams, and the number of the key that each is in; every key has one at least."""
    lengths = np.fromiter(map(len, keys), dtype=np.int64, count=len(keys))
    codes = np.frombuffer("".join(keys).encode("utf-32-le", "surrogatepass"), dtype=np.uint32).astype(np.uint64)
    owner = np.repeat(np.arange(len(keys)), lengths)
    whole = owner[GRAM - 1 :] == owner[: len(owner) - GRAM + 1]
    state = np.zeros(max(0, len(codes) - GRAM + 1), dtype=np.uint64)
    for place in range(GRAM):
        state = mixed(state ^ codes[place : place + len(state)])
    return state[whole].view(np.int64), owner[: len(whole)][whole]


def _sets(keys: list[str], vocabulary: NDArray[np.int64]) -> tuple[Any, NDArray[np.int64]]:
    """One sparse row per key with a 1 per distinct gram of the vocabulary, and the number of all its distinct grams."""
    from scipy.sparse import csr_matrix

    grams, owner = _grams(keys)
    order = np.lexsort((grams, owner))
    grams, owner = grams[order], owner[order]
    first = np.ones(len(grams), dtype=bool)
    first[1:] = (grams[1:] != grams[:-1]) | (owner[1:] != owner[:-1])
    grams, owner = grams[first], owner[first]
    columns = np.minimum(np.searchsorted(vocabulary, grams), len(vocabulary) - 1)
    known = vocabulary[columns] == grams
    ones = np.ones(int(known.sum()), dtype=np.int32)
    matrix = csr_matrix((ones, (owner[known], columns[known])), shape=(len(keys), len(vocabulary)))
    return matrix, np.bincount(owner, minlength=len(keys))
