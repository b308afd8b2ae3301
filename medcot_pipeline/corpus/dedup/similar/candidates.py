"""Pairs of texts worth comparing: MinHash signatures, cut into bands, equal bands meet.

Belongs here: signatures (by rensa), banding, the bound on crowded buckets.
Does not belong here: exact similarities (shingles.py), decisions (corpus/dedup/duplicates.py).
"""

from collections.abc import Callable

import numpy as np
import polars as pl
from numpy.typing import NDArray

from medcot_pipeline.corpus.dedup.similar.arrays import distinct
from medcot_pipeline.corpus.dedup.similar.shingles import chunks_of_texts, packed_shingles

SEED = 42
BANDS = 32
ROWS_PER_BAND = 4
CROWDED = 64  # rows in a bucket above which only neighbours meet
NEIGHBOURS = 8
_ROWS_AT_ONCE = 10_000
_PAIRS_AT_ONCE = 4_000_000

Pairs = tuple[NDArray[np.int64], NDArray[np.int64]]


def candidate_pairs(texts: pl.Series, progress: Callable[[int, int], None] | None = None) -> Pairs:
    """Pairs of texts whose signatures agree in at least one band.

    MinHash over character 3-grams (Broder 1997; rensa's R-MinHash over the full set of shingles) in 32 bands of 4
    rows (Leskovec, Rajaraman, Ullman, Mining of Massive Datasets, 3.4): a pair of Jaccard similarity s meets with
    probability 1 - (1 - s^4)^32, which is 0.87 at 0.5, 0.99 at 0.6 and 0.9998 at 0.7.

    Rows of a bucket of more than 64 meet only their 8 next neighbours, in the order of the texts for even bands and
    of the reversed texts for odd ones (the sorted neighbourhood of Hernández and Stolfo 1995), so that time grows
    with the number of rows and not with its square.

    Args:
        texts: distinct texts in ascending order, none empty. Order and content decide the outcome, nothing else does.
        progress: called with the bands done and all bands.

    Returns:
        Row numbers `left < right` of distinct pairs, in ascending order.
    """
    bands = _band_hashes(texts)
    reversed_order = texts.str.reverse().arg_sort().to_numpy().astype(np.int64)
    found: list[NDArray[np.int64]] = [np.empty(0, dtype=np.int64)]
    for number in range(BANDS):
        order = reversed_order if number % 2 else np.arange(len(texts), dtype=np.int64)
        found.append(_meetings(bands[number], order))
        if sum(map(len, found)) > _PAIRS_AT_ONCE + 2 * len(found[0]):
            found = [distinct(np.concatenate(found))]
        if progress:
            progress(number + 1, BANDS)
    pairs = distinct(np.concatenate(found))
    return pairs >> 32, pairs & 0xFFFFFFFF


def _band_hashes(texts: pl.Series) -> NDArray[np.uint32]:
    """One 32-bit hash for each band and text; equal bands have equal hashes, the rest is verified later anyway."""
    from rensa import RMinHash

    hashes = np.empty((BANDS, len(texts)), dtype=np.uint32)
    for start, chunk in chunks_of_texts(texts):
        for first in range(0, len(chunk), _ROWS_AT_ONCE):
            some = chunk[first : first + _ROWS_AT_ONCE]
            grams, offsets = packed_shingles(some)
            matrix = RMinHash.digest_matrix_from_flat_token_hashes(
                mixed(grams.astype(np.uint64)), offsets.astype(np.uint64), BANDS * ROWS_PER_BAND, SEED
            )
            rows = np.array(matrix.to_rows(), dtype=np.uint64).reshape(len(some), BANDS, ROWS_PER_BAND)
            state = np.zeros((len(some), BANDS), dtype=np.uint64)
            for place in range(ROWS_PER_BAND):
                state = mixed(state ^ rows[:, :, place])
            hashes[:, start + first : start + first + len(some)] = (state >> np.uint64(32)).astype(np.uint32).T
    return hashes


def mixed(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The finaliser of SplitMix64 (Steele, Lea, Flood 2014): spreads close integers over all 64 bits."""
    values = values + np.uint64(0x9E3779B97F4A7C15)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def _meetings(hashes: NDArray[np.uint32], order: NDArray[np.int64]) -> NDArray[np.int64]:
    """Pairs within the buckets of one band, as `left << 32 | right`; neighbours follow `order`."""
    by_bucket = order[np.argsort(hashes[order], kind="stable")]
    values = hashes[by_bucket]
    starts = np.flatnonzero(np.concatenate([[True], values[1:] != values[:-1]]))
    sizes = np.diff(np.append(starts, len(values)))
    reach = np.repeat(np.where(sizes > CROWDED, NEIGHBOURS, sizes - 1), sizes)
    left_over = np.repeat(starts + sizes, sizes) - np.arange(len(values)) - 1
    reach = np.minimum(reach, left_over)
    found = []
    places = np.flatnonzero(reach > 0)
    step = 1
    while len(places):
        one, other = by_bucket[places], by_bucket[places + step]
        found.append(np.minimum(one, other) << 32 | np.maximum(one, other))
        step += 1
        places = places[reach[places] >= step]
    return np.concatenate(found) if found else np.empty(0, dtype=np.int64)
