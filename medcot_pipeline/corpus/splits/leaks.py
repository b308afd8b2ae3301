"""Pairs of one text in two splits.

Belongs here: the search by question, reasoning and answer.
Does not belong here: assigning splits (assign.py), the delete tier itself (corpus/dedup/similar/nearness.py,
corpus/dedup/rules/guards.py).
"""

import numpy as np
import polars as pl

from medcot_pipeline.corpus.dedup.distinctions import with_options_and_case
from medcot_pipeline.corpus.dedup.rules.contexts import Contexts
from medcot_pipeline.corpus.dedup.similar.candidates import candidate_pairs
from medcot_pipeline.corpus.dedup.similar.nearness import Alike, alike, pair_findings
from medcot_pipeline.corpus.dedup.similar.shared_texts import FIELDS, long_texts
from medcot_pipeline.corpus.dedup.similar.shingles import jaccard
from medcot_pipeline.settings import DedupSettings

SPLITS = ("train", "validation", "test")
NEAREST_SCHEMA = {"between": pl.String, "similarity": pl.Float64, "left_id": pl.String, "right_id": pl.String}


def leaks(rows: pl.DataFrame, settings: DedupSettings) -> pl.DataFrame:
    """Pairs of the delete tier whose rows are in different splits; rows in none of the three are passed over.

    Questions are compared by key (rows of other options or other case-bearing letters are other questions), reasoning
    and answers by their folded text where it has `shared_text_chars` characters or more. Of rows that share a text
    within a split, the one of the smallest row_id stands for all.

    Args:
        rows: `row_id`, `question`, `reasoning`, `answer`, `key`, `split`: str.
        settings: what the delete tier is.

    Returns:
        `left_id`, `left_split`, `right_id`, `right_split`, `field`: str; `similarity`: float, that of Jaccard, 1 for
        equal texts. Ordered by field and ids.
    """
    rows = rows.filter(pl.col("split").is_in(SPLITS))
    questions = with_options_and_case(rows.filter(pl.col("key") != "").select("row_id", "split", "question", "key"))
    found = [
        _leaks_of(
            questions.select("row_id", "split", text="key", like=pl.col("options") + "|" + pl.col("cased")),
            "question",
            settings,
        )
    ]
    for field in FIELDS:
        texts = long_texts(rows.select("row_id", "split", field), field, settings)
        found.append(_leaks_of(texts.select("row_id", "split", "text", like=pl.lit("")), field, settings))
    return pl.concat(found)


def nearest_across_splits(rows: pl.DataFrame) -> pl.DataFrame:
    """The most similar pair of questions between every two splits, by Jaccard similarity of the keys' 3-grams.

    Only candidates of MinHash are compared: a pair below about 0.4 may be missed, and two splits without a candidate
    are left out.

    Args:
        rows: `row_id`, `key`, `split`: str.

    Returns:
        NEAREST_SCHEMA, a row per pair of splits.
    """
    asked = rows.filter(pl.col("split").is_in(SPLITS), pl.col("key") != "")
    first = asked.group_by("key").agg(pl.col("row_id", "split").sort_by("row_id").first()).sort("key")
    if first.height < 2:
        return pl.DataFrame(schema=NEAREST_SCHEMA)
    left, right = candidate_pairs(first["key"])
    pairs = pl.concat(
        [
            first[left].select(left_split="split", left_id="row_id"),
            first[right].select(right_split="split", right_id="row_id"),
            pl.DataFrame({"similarity": jaccard(first["key"], left, right)}, schema={"similarity": pl.Float64}),
        ],
        how="horizontal",
    ).filter(pl.col("left_split") != pl.col("right_split"))
    between = pl.concat_list("left_split", "right_split").list.sort().list.join(" / ")
    ranked = pairs.with_columns(between=between).sort(
        "similarity", "left_id", "right_id", descending=[True, False, False]
    )
    return ranked.group_by("between", maintain_order=True).first().select(*NEAREST_SCHEMA).sort("between")


def _leaks_of(texts: pl.DataFrame, field: str, settings: DedupSettings) -> pl.DataFrame:
    """Leaks by one field. Args: texts: row_id, split, text, like; only rows of one `like` are compared."""
    first = texts.group_by("text", "like", "split").agg(pl.col("row_id").min())
    distinct = first["text"].unique().sort()
    pairs = distinct.to_frame("text").with_columns(other=pl.col("text"), similarity=pl.lit(1.0))
    if settings.near_duplicates and len(distinct) > 1:
        pairs = pl.concat([pairs, _same_text(distinct, first, settings)])
    left = first.rename({"row_id": "left_id", "split": "left_split"})
    right = first.rename({"row_id": "right_id", "split": "right_split", "text": "other"})
    joined = pairs.join(left, on="text").join(right, on=["other", "like"])
    joined = joined.filter(pl.col("left_split") != pl.col("right_split"))
    swap = pl.col("left_id") > pl.col("right_id")
    ends = [
        pl.when(swap).then(f"{other}_{end}").otherwise(f"{side}_{end}").alias(f"{side}_{end}")
        for side, other in (("left", "right"), ("right", "left"))
        for end in ("id", "split")
    ]
    found = joined.select(*ends, pl.lit(field).alias("field"), "similarity")
    return found.unique(["left_id", "right_id"]).sort("left_id", "right_id")


def _same_text(distinct: pl.Series, ends: pl.DataFrame, settings: DedupSettings) -> pl.DataFrame:
    """Pairs of different texts that the delete tier takes for one, where they are in different splits."""
    found = alike(distinct, settings)
    number = {name: place for place, name in enumerate(ends["split"].unique().sort().to_list())}
    splits = ends.select("text", pl.col("split").replace_strict(number, return_dtype=pl.Int64).alias("number"))
    masks = (
        splits.unique().group_by("text").agg((2 ** pl.col("number")).sum().cast(pl.Int64).alias("mask")).sort("text")
    )
    mask = masks["mask"].to_numpy()
    one, other = mask[found.left], mask[found.right]
    apart = ((one != other) | (one & (one - 1) != 0)) & (found.edit > 0)
    close = Alike(found.candidates, found.left[apart], found.right[apart], found.jaccard[apart], found.edit[apart])
    same = []
    if np.any(apart):
        same = [pair for pair in pair_findings(distinct, close, settings, Contexts(distinct)) if not pair.refusal]
    return pl.DataFrame(
        {
            "text": distinct[[pair.left for pair in same]],
            "other": distinct[[pair.right for pair in same]],
            "similarity": pl.Series([pair.jaccard for pair in same], dtype=pl.Float64),
        }
    )
