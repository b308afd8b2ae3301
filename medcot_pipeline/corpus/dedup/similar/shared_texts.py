"""Rows whose reasoning or answer is the same: they belong in one split.

Belongs here: the folded form of a long text, pairs of rows that share one.
Does not belong here: questions (nearness.py), components (corpus/dedup/groups.py).
"""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from medcot_pipeline.corpus.dedup.similar.nearness import alike
from medcot_pipeline.settings import DedupSettings

FIELDS = ("reasoning", "answer")


def folded(column: str) -> pl.Expr:
    """A long text for comparing: lower case, without blanks."""
    return pl.col(column).str.to_lowercase().str.replace_all(r"\s+", "")


def long_texts(rows: pl.DataFrame, column: str, settings: DedupSettings) -> pl.DataFrame:
    """The rows' other columns and `text`, the folded column, where it has at least `shared_text_chars` characters.

    Short answers ("急性阑尾炎。") are shared by many questions without one giving the other away.
    """
    texts = rows.lazy().with_columns(folded(column).alias("text")).drop(column)
    return texts.filter(pl.col("text").str.len_chars() >= settings.shared_text_chars).collect()


def shared_text_edges(
    rows: pl.DataFrame, keys: pl.Series, settings: DedupSettings
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pairs of keys whose rows have an equal or nearly equal reasoning or answer.

    Nearly equal means the similarities of the delete tier without its rules, so that whatever the delete tier finds
    later, in whatever part of the rows, is in one group already.

    Args:
        rows: `key`, `reasoning`, `answer`.
        keys: distinct keys in ascending order; edges are numbers of theirs.
        settings: thresholds.
    """
    numbers = pl.DataFrame({"key": keys}).with_row_index("number")
    left, right = [np.empty(0, dtype=np.int64)], [np.empty(0, dtype=np.int64)]
    for field in FIELDS:
        texts = long_texts(rows.select("key", field), field, settings).join(numbers, on="key")
        texts = texts.select("text", pl.col("number").cast(pl.Int64)).unique().sort("text", "number")
        first = texts.group_by("text", maintain_order=True).agg(pl.col("number").first().alias("first"))
        joined = texts.join(first, on="text", maintain_order="left").filter(pl.col("number") != pl.col("first"))
        left.append(joined["first"].to_numpy())
        right.append(joined["number"].to_numpy())
        if settings.near_duplicates and first.height > 1:
            pairs = alike(first["text"], settings)
            close = pairs.edit >= max(settings.edit_similarity, 1e-9)
            numbered = first["first"].to_numpy()
            left.append(numbered[pairs.left[close]])
            right.append(numbered[pairs.right[close]])
    return np.concatenate(left), np.concatenate(right)
