"""Near-duplicates told from near-misses: which rows leave, which stay together, which a person should see.

Belongs here: the order of the steps, the choice of the row that stays, the shape of the outcome.
Does not: candidates and similarities (nearness.py, paraphrases.py), the rules (guards.py), splits (splits.py).
"""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from medcot_pipeline.corpus.contexts import Contexts
from medcot_pipeline.corpus.engine import describe_engine
from medcot_pipeline.corpus.groups import group_ids
from medcot_pipeline.corpus.guards import difference
from medcot_pipeline.corpus.identity import with_identity
from medcot_pipeline.corpus.nearness import LONGEST_EDIT, Alike, Verdict, alike, verdicts
from medcot_pipeline.corpus.paraphrases import Triples, paraphrase_pairs
from medcot_pipeline.corpus.shared_texts import shared_text_edges
from medcot_pipeline.errors import MedcotError
from medcot_pipeline.settings.models import DedupSettings

REASONABLE_CHARS = 2_000
"""Characters of reasoning beyond which longer is no better."""
STEPS = ("exact", "candidates", "rules", "paraphrases", "shared texts", "groups", "review")
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
_NOTHING: Triples = (np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64), np.empty(0))


class DuplicateRowId(MedcotError):
    """Two rows share a `row_id`."""


@dataclass(frozen=True)
class DedupOutcome:
    """What deduplication decided; `kept` and `removed` partition the rows that came in.

    Attributes:
        kept: the input's columns and `group_id`, by row_id.
        removed: REMOVED_SCHEMA, by row_id. `reason` is "exact" (equal keys) or "near_duplicate", `partner_id` the kept
            row that stands for it, `similarity` the Jaccard similarity of the keys, `difference` the differing spans
            of the two questions.
        review: REVIEW_SCHEMA, pairs of kept rows for a person. `tier` is "near_miss" (alike, and told apart by a rule
            that `difference` names; similarity is Jaccard) or "paraphrase" (similarity is the TF-IDF cosine).
        funnel: what each step left or found: step, rows.
        engine: library, version, algorithm version, seed, parameters.
    """

    kept: pl.DataFrame
    removed: pl.DataFrame
    review: pl.DataFrame
    funnel: list[dict[str, Any]]
    engine: dict[str, Any]

    def examples(self, n: int) -> list[dict[str, Any]]:
        """`n` removed rows with both questions, the least similar first: where an error would be."""
        kept = self.kept.select(pl.col("row_id").alias("partner_id"), pl.col("question").alias("kept_question"))
        least = self.removed.sort("similarity", "row_id").head(n)
        return least.join(kept, on="partner_id", how="left", maintain_order="left").to_dicts()


def find_near_duplicates(
    rows: pl.DataFrame, settings: DedupSettings, progress: Callable[[int, int], None] | None = None
) -> DedupOutcome:
    """Separate duplicates from near-misses, keep the best row of each, and group what must stay together.

    1. Rows of equal key, options and case-bearing tokens are one question (reason "exact").
    2. Keys that MinHash-LSH brings together are compared by exact Jaccard similarity, then by edit distance, then by
       the characters that differ (guards.py). The rows are visited from the best to the worst, and a row is removed
       when it is a duplicate of one that was kept (reason "near_duplicate"): a chain of small changes does not merge
       its ends.
    3. Rows share a group where their keys are equal, have a Jaccard similarity of `group_jaccard`, a TF-IDF cosine of
       `group_cosine` among the five nearest, or where a reasoning or an answer is the same; groups are the connected
       components over all rows, removed ones included.

    The best row has the fewest flags, then the longest reasoning (2,000 characters and more are equal), then the
    longest answer (likewise), then the smallest row_id. A row whose key is empty is never a duplicate.

    Args:
        rows: `row_id`, `question`, `reasoning`, `answer`: str; `key`: str, the comparison key of the question's stem;
            `language`: str; `flags`: list[str]. Any order.
        settings: thresholds in [0, 1]; see `DedupSettings`.
        progress: called with the steps done and all steps.

    Returns:
        The outcome; it depends on neither the order of `rows` nor the number of threads.

    Raises:
        DuplicateRowId: two rows share a `row_id`.
    """
    report = progress or (lambda done, total: None)
    rows = _checked(rows)
    ranked = _best_first(with_identity(rows))
    best = ranked.filter(pl.col("place") == pl.col("best"))
    keys = best.filter(pl.col("key") != "")["key"].unique().sort()
    report(1, len(STEPS))
    pairs, judged = _compare(keys, settings, report)
    partners = _partners(best, keys, judged)
    close = _NOTHING
    if settings.near_duplicates and settings.paraphrases and len(keys):
        close = paraphrase_pairs(keys, min(settings.review_cosine, settings.group_cosine))
    report(4, len(STEPS))
    same = shared_text_edges(rows, keys, settings)
    report(5, len(STEPS))
    grouped = close[2] >= settings.group_cosine
    groups = group_ids(
        keys,
        np.concatenate([pairs.left, close[0][grouped], same[0]]),
        np.concatenate([pairs.right, close[1][grouped], same[1]]),
    )
    report(6, len(STEPS))
    kept, removed = _parted(rows, ranked, partners, keys, groups)
    review, offered = _review(kept, keys, judged, close, settings)
    report(7, len(STEPS))
    exact = removed.filter(pl.col("reason") == "exact").height
    sizes = kept.group_by("group_id").len()["len"].to_list()
    funnel = {
        "rows": rows.height,
        "removed as exact duplicates": exact,
        "removed as near-duplicates": removed.height - exact,
        "kept": kept.height,
        "groups": len(sizes),
        "rows in the largest group": max(sizes, default=0),
        "pairs compared": pairs.candidates,
        "pairs of the group tier": len(pairs.left),
        "near-misses told apart": sum(bool(verdict.refusal) for verdict in judged),
        "pairs of a paraphrase's cosine": len(close[0]),
        "pairs offered for review": offered,
        "pairs in the review file": review.height,
    }
    steps = [{"step": step, "rows": number} for step, number in funnel.items()]
    return DedupOutcome(kept, removed, review, steps, describe_engine(settings))


def _checked(rows: pl.DataFrame) -> pl.DataFrame:
    """The rows by row_id, so that their order is nothing to depend on."""
    twice = rows.filter(pl.col("row_id").is_duplicated())
    if twice.height:
        raise DuplicateRowId(
            f"row_id {twice['row_id'].min()!r} is on {twice.height} rows or shares them.", "Give every row its own id."
        )
    return rows.sort("row_id")


def _best_first(rows: pl.DataFrame) -> pl.DataFrame:
    """Row id, key and identity from the best row to the worst, with `place` and the place of the best of its like."""
    chars = [pl.col(name).str.len_chars().clip(upper_bound=REASONABLE_CHARS) for name in ("reasoning", "answer")]
    ranked = (
        rows.sort(pl.col("flags").list.len(), *chars, "row_id", descending=[False, True, True, False])
        .select("row_id", "key", "options", "cased")
        .with_row_index("place")
    )
    like = pl.col("place").min().over("key", "options", "cased")
    return ranked.with_columns(pl.when(pl.col("key") == "").then(pl.col("place")).otherwise(like).alias("best"))


def _compare(
    keys: pl.Series, settings: DedupSettings, report: Callable[[int, int], None]
) -> tuple[Alike, list[Verdict]]:
    if not settings.near_duplicates or len(keys) < 2:
        return Alike(0, *_NOTHING, np.empty(0)), []
    pairs = alike(keys, settings)
    report(2, len(STEPS))
    judged = verdicts(keys, pairs, settings, Contexts(keys))
    report(3, len(STEPS))
    return pairs, judged


def _partners(best: pl.DataFrame, keys: pl.Series, judged: list[Verdict]) -> pl.DataFrame:
    """Removed rows among the best of their like: `best`, its `partner` (places) and their `similarity`."""
    same = [verdict for verdict in judged if not verdict.refusal]
    involved = sorted({key for verdict in same for key in (verdict.left, verdict.right)})
    number = {key: place for place, key in zip(involved, keys[involved].to_list(), strict=True)}
    rows_of: dict[int, list[tuple[int, str]]] = defaultdict(list)
    some = best.filter(pl.col("key").is_in(list(number)))
    for place, key, options, cased in some.select("place", "key", "options", "cased").iter_rows():
        rows_of[number[key]].append((place, f"{options}|{cased}"))
    neighbours: dict[int, list[tuple[float, int]]] = defaultdict(list)
    for verdict in same:
        for one, like in rows_of[verdict.left]:
            for other, unlike in rows_of[verdict.right]:
                if like == unlike:
                    neighbours[one].append((-verdict.jaccard, other))
                    neighbours[other].append((-verdict.jaccard, one))
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


def _parted(
    rows: pl.DataFrame, ranked: pl.DataFrame, partners: pl.DataFrame, keys: pl.Series, groups: pl.Series
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Kept rows with their group, and removed rows with their reason; both by row_id."""
    ids = ranked.select(
        pl.col("place").alias("partner"), pl.col("row_id").alias("partner_id"), pl.col("key").alias("partner_key")
    )
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
    no_key = pl.concat([pl.DataFrame({"key": keys, "group_id": groups}), _group_of_empty_keys()])
    kept = joined.filter(pl.col("reason").is_null()).drop("reason", "partner_id", "similarity")
    kept = kept.join(no_key, on="key", how="left", maintain_order="left")
    removed = joined.filter(pl.col("reason").is_not_null())
    partner = rows.select(pl.col("row_id").alias("partner_id"), pl.col("question").alias("partner_question"))
    removed = removed.join(partner, on="partner_id", how="left", maintain_order="left")
    spans = [_shown(*pair) for pair in removed.select("partner_question", "question").iter_rows()]
    removed = removed.with_columns(pl.Series("difference", spans, dtype=pl.String)).select(list(REMOVED_SCHEMA))
    return kept, removed


def _group_of_empty_keys() -> pl.DataFrame:
    """Rows without a key share one group: nothing says that they are different."""
    return pl.DataFrame({"key": [""], "group_id": group_ids(pl.Series([""]), *_NOTHING[:2])})


def _shown(one: str, other: str) -> str:
    if one == other:
        return ""
    if max(len(one), len(other)) > LONGEST_EDIT:
        return f"not shown: {len(one):,} and {len(other):,} characters"
    return difference(one, other)


def _review(
    kept: pl.DataFrame, keys: pl.Series, judged: list[Verdict], close: Triples, settings: DedupSettings
) -> tuple[pl.DataFrame, int]:
    """The most similar pairs of each tier whose rows were both kept, and how many pairs there were to choose from."""
    misses = [(v.left, v.right, "near_miss", v.jaccard, v.refusal) for v in judged if v.refusal]
    shown = close[2] < settings.group_cosine
    likely = [
        (left, right, "paraphrase", cosine, "")
        for left, right, cosine in zip(*(part[shown].tolist() for part in close), strict=True)
        if cosine >= settings.review_cosine
    ]
    first = kept.unique("key", keep="first", maintain_order=True).select("key", "row_id", "question")
    here = dict(
        zip(
            first["key"].to_list(),
            zip(first["row_id"].to_list(), first["question"].to_list(), strict=True),
            strict=True,
        )
    )
    records = []
    for tier in (misses, likely):
        standing = [pair for pair in tier if keys[pair[0]] in here and keys[pair[1]] in here]
        for left, right, name, similarity, rule in sorted(standing, key=lambda pair: (-pair[3], pair[0], pair[1]))[
            : settings.review_pairs
        ]:
            (left_id, left_question), (right_id, right_question) = here[keys[left]], here[keys[right]]
            spans = _shown(left_question, right_question)
            records.append(
                (
                    left_id,
                    right_id,
                    name,
                    similarity,
                    f"{rule}: {spans}" if rule else spans,
                    left_question,
                    right_question,
                )
            )
    return pl.DataFrame(records, schema=REVIEW_SCHEMA, orient="row"), len(misses) + len(likely)
