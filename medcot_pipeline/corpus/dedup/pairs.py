"""Pairs for a person to look at.

Belongs here: choosing the pairs, showing how two questions differ.
Does not belong here: deciding anything about rows (survivors.py).
"""

from typing import NamedTuple

import polars as pl

from medcot_pipeline.corpus.dedup.similar.edits import difference
from medcot_pipeline.corpus.dedup.similar.nearness import LONGEST_EDIT, PairFinding
from medcot_pipeline.corpus.dedup.similar.paraphrases import Triples
from medcot_pipeline.settings import DedupSettings

SHOWN_SCHEMA = {
    "left_id": pl.String,
    "right_id": pl.String,
    "tier": pl.String,
    "similarity": pl.Float64,
    "difference": pl.String,
    "left_question": pl.String,
    "right_question": pl.String,
}


class _Offer(NamedTuple):
    """A pair of keys by number, and why it is shown."""

    left: int
    right: int
    tier: str
    similarity: float
    rule: str


def pairs_to_show(
    kept: pl.DataFrame, keys: pl.Series, findings: list[PairFinding], close: Triples, settings: DedupSettings
) -> tuple[pl.DataFrame, int]:
    """The most similar pairs of each tier whose rows were both kept, and how many such pairs there are.

    Args:
        kept: `key`, `row_id`, `question`, by row_id; the first row of a key stands for it.
        keys: distinct keys in ascending order.
        findings: of pairs of keys; those with a refusal are the tier "near_miss".
        close: pairs of keys with their cosine; those below `group_cosine` are the tier "paraphrase".
        settings: thresholds, and how many pairs of each tier are shown.
    """
    names = keys.to_list()
    first = kept.unique("key", keep="first", maintain_order=True)
    here = {key: (row_id, question) for key, row_id, question in first.select("key", "row_id", "question").iter_rows()}
    told_apart = (each for each in findings if each.refusal)
    misses = [_Offer(each.left, each.right, "near_miss", each.jaccard, each.refusal) for each in told_apart]
    likely = [
        _Offer(left, right, "paraphrase", cosine, "")
        for left, right, cosine in zip(*(part.tolist() for part in close), strict=True)
        if settings.review_cosine <= cosine < settings.group_cosine
    ]
    records, standing_pairs = [], 0
    for tier in (misses, likely):
        standing = [offer for offer in tier if names[offer.left] in here and names[offer.right] in here]
        standing_pairs += len(standing)
        standing.sort(key=lambda offer: (-offer.similarity, offer.left, offer.right))
        records += [_record(offer, names, here) for offer in standing[: settings.review_pairs]]
    return pl.DataFrame(records, schema=SHOWN_SCHEMA, orient="row"), standing_pairs


def differing_spans(one: str, other: str) -> str:
    """How two questions differ, for a reader; empty where they are equal."""
    if one == other:
        return ""
    if max(len(one), len(other)) > LONGEST_EDIT:
        return f"not shown: {len(one):,} and {len(other):,} characters"
    return difference(one, other)


def _record(offer: _Offer, keys: list[str], here: dict[str, tuple[str, str]]) -> tuple[str | float, ...]:
    left_id, left = here[keys[offer.left]]
    right_id, right = here[keys[offer.right]]
    spans = differing_spans(left, right)
    shown = f"{offer.rule}: {spans}" if offer.rule else spans
    return left_id, right_id, offer.tier, offer.similarity, shown, left, right
