"""Which row of a set of duplicates stays.

Belongs here: the order from best to worst, the row that stands for each removed one, parting the rows.
Does not belong here: what a duplicate is (corpus/dedup/similar/nearness.py, corpus/dedup/rules/guards.py), groups
(groups.py).
"""

from collections import defaultdict

import polars as pl

from medcot_pipeline.corpus.dedup.groups import group_of_key
from medcot_pipeline.corpus.dedup.pairs import differing_spans
from medcot_pipeline.corpus.dedup.similar.nearness import PairFinding

REASONABLE_CHARS = 2_000
"""Characters of reasoning beyond which longer is no better."""
REMOVED_SCHEMA = {
    "row_id": pl.String,
    "reason": pl.String,
    "partner_id": pl.String,
    "similarity": pl.Float64,
    "difference": pl.String,
    "question": pl.String,
}


def best_first(rows: pl.DataFrame) -> pl.DataFrame:
    """Row id, key, options and case from the best row to the worst; `place`, and `best`, the best place of its like."""
    chars = [pl.col(name).str.len_chars().clip(upper_bound=REASONABLE_CHARS) for name in ("reasoning", "answer")]
    ranked = (
        rows.sort(pl.col("flags").list.len(), *chars, "row_id", descending=[False, True, True, False])
        .select("row_id", "key", "options", "cased")
        .with_row_index("place")
    )
    like = pl.col("place").min().over("key", "options", "cased")
    return ranked.with_columns(pl.when(pl.col("key") == "").then(pl.col("place")).otherwise(like).alias("best"))


def partners_of(best: pl.DataFrame, keys: pl.Series, findings: list[PairFinding]) -> pl.DataFrame:
    """Rows to remove among the best of their like: `best`, its `partner` (places) and their `similarity`.

    Rows are visited from the best to the worst. One that is a duplicate of rows that stay goes, and the most similar of
    them, then the best, is its partner.

    Args:
        best: the rows of `best_first` that are the best of their like.
        keys: distinct keys in ascending order.
        findings: of pairs of keys.
    """
    same = [finding for finding in findings if not finding.refusal]
    involved = sorted({key for finding in same for key in (finding.left, finding.right)})
    number = {key: place for place, key in zip(involved, keys[involved].to_list(), strict=True)}
    rows_of: dict[int, list[tuple[int, str]]] = defaultdict(list)
    some = best.filter(pl.col("key").is_in(list(number)))
    for place, key, options, cased in some.select("place", "key", "options", "cased").iter_rows():
        rows_of[number[key]].append((place, f"{options}|{cased}"))
    neighbours: dict[int, list[tuple[float, int]]] = defaultdict(list)
    for finding in same:
        for one, like in rows_of[finding.left]:
            for other, unlike in rows_of[finding.right]:
                if like == unlike:
                    neighbours[one].append((-finding.jaccard, other))
                    neighbours[other].append((-finding.jaccard, one))
    removed: dict[int, tuple[int, float]] = {}
    for place in sorted(neighbours):
        standing = [(score, other) for score, other in neighbours[place] if other < place and other not in removed]
        if standing:
            score, other = min(standing)
            removed[place] = other, -score
    return pl.DataFrame(
        [(place, other, score) for place, (other, score) in removed.items()],
        schema={"best": pl.UInt32, "partner": pl.UInt32, "similarity": pl.Float64},
        orient="row",
    )


def parted(
    rows: pl.DataFrame, ranked: pl.DataFrame, partners: pl.DataFrame, keys: pl.Series, groups: pl.Series
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Kept rows with their group, and removed rows with their reason (REMOVED_SCHEMA); both by row_id.

    Args:
        rows: all rows, by row_id.
        ranked: of `best_first`.
        partners: of `partners_of`.
        keys: distinct keys in ascending order.
        groups: the group of each key.
    """
    ids = ranked.select(pl.col("place").alias("partner"), pl.col("row_id").alias("partner_id"))
    fate = (
        ranked.join(partners, on="best", how="left")
        .with_columns(
            pl.when(pl.col("partner").is_not_null())
            .then(pl.lit("near_duplicate"))
            .when(pl.col("place") != pl.col("best"))
            .then(pl.lit("exact"))
            .alias("reason"),
            pl.coalesce("partner", "best").alias("partner"),
            pl.col("similarity").fill_null(1.0),
        )
        .join(ids, on="partner", how="left")
        .select("row_id", "reason", "partner_id", "similarity")
    )
    joined = rows.join(fate, on="row_id", how="left", maintain_order="left")
    grouped = pl.DataFrame(
        {"key": ["", *keys.to_list()], "group_id": [group_of_key(""), *groups.to_list()]},
        schema={"key": pl.String, "group_id": pl.String},
    )
    kept = joined.filter(pl.col("reason").is_null()).drop("reason", "partner_id", "similarity")
    kept = kept.join(grouped, on="key", how="left", maintain_order="left")
    removed = joined.filter(pl.col("reason").is_not_null())
    partner = rows.select(pl.col("row_id").alias("partner_id"), pl.col("question").alias("partner_question"))
    removed = removed.join(partner, on="partner_id", how="left", maintain_order="left")
    spans = [differing_spans(*pair) for pair in removed.select("partner_question", "question").iter_rows()]
    removed = removed.with_columns(pl.Series("difference", spans, dtype=pl.String)).select(list(REMOVED_SCHEMA))
    return kept, removed
