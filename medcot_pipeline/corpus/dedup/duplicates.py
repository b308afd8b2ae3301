"""Near-duplicates told from near-misses: which rows leave, which stay together, which a person should see.

Belongs here: the order of the steps, the shape of the outcome.
Does not belong here: candidates and similarities (corpus/dedup/similar/nearness.py,
corpus/dedup/similar/paraphrases.py), the rules (corpus/dedup/rules/guards.py), which row of a pair stays
(survivors.py), what people are shown (pairs.py), splits (corpus/splits/assign.py).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from medcot_pipeline.corpus.dedup.distinctions import with_options_and_case
from medcot_pipeline.corpus.dedup.groups import group_ids
from medcot_pipeline.corpus.dedup.made_with import made_with
from medcot_pipeline.corpus.dedup.pairs import pairs_to_show
from medcot_pipeline.corpus.dedup.rules.contexts import Contexts
from medcot_pipeline.corpus.dedup.similar.nearness import Alike, PairFinding, alike, pair_findings
from medcot_pipeline.corpus.dedup.similar.paraphrases import Triples, paraphrase_pairs
from medcot_pipeline.corpus.dedup.similar.shared_texts import shared_text_edges
from medcot_pipeline.corpus.dedup.survivors import best_first, parted, partners_of
from medcot_pipeline.settings import DedupSettings
from medcot_pipeline.support.errors import MedcotError

STEPS = ("exact", "candidates", "rules", "paraphrases", "shared texts", "groups", "pairs to show")
_NOTHING: Triples = (np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64), np.empty(0))


class DuplicateRowId(MedcotError):
    """Two rows share a `row_id`."""


@dataclass(frozen=True)
class DedupOutcome:
    """What deduplication decided; `kept` and `removed` partition the rows that came in.

    Attributes:
        kept: the input's columns and `group_id`, by row_id.
        removed: `survivors.REMOVED_SCHEMA`, by row_id. `reason` is "exact" (equal keys) or "near_duplicate",
            `partner_id` the kept row that stands for it, `similarity` the Jaccard similarity of the keys, `difference`
            the differing spans of the two questions.
        pairs_to_show: `pairs.SHOWN_SCHEMA`, pairs of kept rows for a person. `tier` is "near_miss" (alike, and told
            apart by a rule that `difference` names; similarity is Jaccard) or "paraphrase" (similarity is the TF-IDF
            cosine).
        funnel: what each step left or found: step, rows.
        made_with: library, version, algorithm version, seed, parameters.
    """

    kept: pl.DataFrame
    removed: pl.DataFrame
    pairs_to_show: pl.DataFrame
    funnel: list[dict[str, Any]]
    made_with: dict[str, Any]

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
       the characters that differ (rules/guards.py). The rows are visited from the best to the worst, and a row leaves
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
    ranked = best_first(with_options_and_case(rows))
    best = ranked.filter(pl.col("place") == pl.col("best"))
    keys = best.filter(pl.col("key") != "")["key"].unique().sort()
    report(1, len(STEPS))
    pairs, findings = _compare(keys, settings, report)
    partners = partners_of(best, keys, findings)
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
    kept, removed = parted(rows, ranked, partners, keys, groups)
    shown, offered = pairs_to_show(kept, keys, findings, close, settings)
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
        "near-misses told apart": sum(bool(finding.refusal) for finding in findings),
        "pairs of a paraphrase's cosine": len(close[0]),
        "pairs offered for review": offered,
        "pairs in the review file": shown.height,
    }
    steps = [{"step": step, "rows": number} for step, number in funnel.items()]
    return DedupOutcome(kept, removed, shown, steps, made_with(settings))


def _checked(rows: pl.DataFrame) -> pl.DataFrame:
    """The rows by row_id, so that their order is nothing to depend on."""
    twice = rows.filter(pl.col("row_id").is_duplicated())
    if twice.height:
        raise DuplicateRowId(
            f"{twice.height:,} rows share their row_id with another, such as {twice['row_id'].min()!r}.",
            "Give every row an id of its own.",
        )
    return rows.sort("row_id")


def _compare(
    keys: pl.Series, settings: DedupSettings, report: Callable[[int, int], None]
) -> tuple[Alike, list[PairFinding]]:
    if not settings.near_duplicates or len(keys) < 2:
        return Alike(0, *_NOTHING, np.empty(0)), []
    pairs = alike(keys, settings)
    report(2, len(STEPS))
    findings = pair_findings(keys, pairs, settings, Contexts(keys))
    report(3, len(STEPS))
    return pairs, findings
