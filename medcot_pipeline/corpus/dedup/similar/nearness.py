"""Pairs of texts that are alike, and which of those are one text.

Belongs here: the similarities in their order, from cheap to dear, and the delete tier.
Does not belong here: candidates (candidates.py), the rules (corpus/dedup/rules/guards.py), which row of a pair stays
(corpus/dedup/duplicates.py).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from medcot_pipeline.corpus.dedup.rules.contexts import Contexts
from medcot_pipeline.corpus.dedup.rules.guards import lexicon, refusal
from medcot_pipeline.corpus.dedup.similar.candidates import candidate_pairs
from medcot_pipeline.corpus.dedup.similar.edits import changes, longest_span
from medcot_pipeline.corpus.dedup.similar.shingles import jaccard
from medcot_pipeline.settings import DedupSettings

LONGEST_EDIT = 20_000  # characters; an edit distance of longer texts is not computed, so they are grouped, not deleted
_PAIRS_AT_ONCE = 50_000


@dataclass(frozen=True)
class Alike:
    """Pairs of texts by row number, `left < right`, ascending.

    Attributes:
        candidates: pairs that were compared.
        left: row numbers, int64.
        right: row numbers, int64.
        jaccard: exact similarity of the shingle sets, in [0, 1].
        edit: normalised Levenshtein similarity in [0, 1]; 0 where the pair is too far apart for the delete tier.
    """

    candidates: int
    left: NDArray[np.int64]
    right: NDArray[np.int64]
    jaccard: NDArray[np.float64]
    edit: NDArray[np.float64]


@dataclass(frozen=True)
class PairFinding:
    """What the rules say about a pair: `refusal` is empty where the two are one text (the delete tier)."""

    left: int
    right: int
    jaccard: float
    refusal: str


def alike(texts: pl.Series, settings: DedupSettings, progress: Callable[[int, int], None] | None = None) -> Alike:
    """Pairs of at least `group_jaccard` similarity, with their edit similarity where the delete tier needs it.

    Args:
        texts: distinct texts in ascending order, none empty.
        settings: thresholds.
        progress: of the candidate search.
    """
    left, right = candidate_pairs(texts, progress)
    similarity = jaccard(texts, left, right)
    near = similarity >= min(settings.group_jaccard, settings.jaccard)
    found = len(left)
    left, right, similarity = left[near], right[near], similarity[near]
    edit = np.zeros(len(left))
    lengths = texts.str.len_chars().to_numpy()
    short = np.maximum(lengths[left], lengths[right]) <= LONGEST_EDIT
    close = np.flatnonzero((similarity >= settings.jaccard) & short)
    for start in range(0, len(close), _PAIRS_AT_ONCE):
        some = close[start : start + _PAIRS_AT_ONCE]
        edit[some] = _edit_similarity(texts, left[some], right[some], settings.edit_similarity)
    return Alike(found, left, right, similarity, edit)


def pair_findings(texts: pl.Series, pairs: Alike, settings: DedupSettings, contexts: Contexts) -> list[PairFinding]:
    """What the rules say of every pair with enough edit similarity and no long span; no other pair is a duplicate."""
    words = lexicon(settings.swaps, settings.ignored_swaps)
    findings = []
    close = np.flatnonzero(pairs.edit >= max(settings.edit_similarity, 1e-9))
    for start in range(0, len(close), _PAIRS_AT_ONCE):
        some = close[start : start + _PAIRS_AT_ONCE]
        lefts, rights = texts[pairs.left[some]].to_list(), texts[pairs.right[some]].to_list()
        for place, one, other in zip(some.tolist(), lefts, rights, strict=True):
            found = changes(one, other)
            if longest_span(found) <= settings.max_changed_span:
                reason = refusal(found, contexts, words)
                findings.append(
                    PairFinding(int(pairs.left[place]), int(pairs.right[place]), float(pairs.jaccard[place]), reason)
                )
    return findings


def _edit_similarity(
    texts: pl.Series, left: NDArray[np.int64], right: NDArray[np.int64], least: float
) -> NDArray[np.float64]:
    """1 - Levenshtein distance / longer length; 0 below `least`."""
    from rapidfuzz.distance import Levenshtein
    from rapidfuzz.process import cpdist

    result: Any = cpdist(
        texts[left].to_list(),
        texts[right].to_list(),
        scorer=Levenshtein.normalized_similarity,
        score_cutoff=least,
        dtype=np.float64,
        workers=1,
    )
    return np.asarray(result, dtype=np.float64)
