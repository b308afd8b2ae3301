"""Near-duplicates told from near-misses: which rows leave, which stay together, which a person should see.

Belongs here: the order of the steps, the choice of the row that stays, the shape of the outcome.
Does not: shingles and candidates (candidates.py), the rules (guards.py), components (groups.py), splits (splits.py).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import polars as pl

from medcot_pipeline.corpus.groups import group_ids
from medcot_pipeline.settings.models import DedupSettings

REMOVED_SCHEMA = {
    "row_id": pl.String,
    "reason": pl.String,
    "partner_id": pl.String,
    "similarity": pl.Float64,
    "difference": pl.String,
    "question": pl.String,
}
REVIEW_SCHEMA = {
    "left_id": pl.String,
    "right_id": pl.String,
    "tier": pl.String,
    "similarity": pl.Float64,
    "difference": pl.String,
    "left_question": pl.String,
    "right_question": pl.String,
}


@dataclass(frozen=True)
class DedupOutcome:
    """What deduplication decided; `kept` and `removed` partition the rows that came in."""

    kept: pl.DataFrame
    removed: pl.DataFrame
    review: pl.DataFrame
    funnel: list[dict[str, Any]]
    engine: dict[str, Any]

    def examples(self, n: int) -> list[dict[str, Any]]:
        """The first `n` removed rows, least similar first."""
        return self.removed.sort("similarity", "row_id").head(n).to_dicts()


def find_near_duplicates(
    rows: pl.DataFrame, settings: DedupSettings, progress: Callable[[int, int], None] | None = None
) -> DedupOutcome:
    """Separate duplicates from the rows that stay."""
    best_first = rows.sort(
        pl.col("flags").list.len(), pl.col("reasoning").str.len_chars(), "row_id", descending=[False, True, False]
    )
    best = best_first.group_by("key", maintain_order=True).agg(pl.col("row_id").first().alias("partner_id"))
    joined = best_first.join(best, on="key", how="left")
    kept = joined.filter(pl.col("row_id") == pl.col("partner_id")).drop("partner_id").sort("row_id")
    removed = joined.filter(pl.col("row_id") != pl.col("partner_id")).select(
        "row_id",
        pl.lit("exact").alias("reason"),
        "partner_id",
        pl.lit(1.0).alias("similarity"),
        pl.lit("").alias("difference"),
        "question",
    )
    kept = kept.with_columns(group_ids(kept["key"], []))
    funnel = [{"step": "rows", "rows": rows.height}, {"step": "kept", "rows": kept.height}]
    return DedupOutcome(kept, removed.sort("row_id"), pl.DataFrame(schema=REVIEW_SCHEMA), funnel, {"library": "none"})
