"""Character 3-grams of many texts at once, and the exact Jaccard similarity of pairs of them.

Belongs here: cutting texts into shingles, packing a shingle into an integer, intersections.
Does not belong here: which pairs to compare (candidates.py), what a similarity means (corpus/dedup/duplicates.py).
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

SHINGLE = 3
_CODE_BITS = 21  # a Unicode code point needs 21 bits: three of them fit a signed 64-bit integer
_CHUNK_CHARS = 4_000_000


def packed_shingles(texts: list[str]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Every 3-gram of every text, packed without collisions as `c0 << 42 | c1 << 21 | c2`.

    A text shorter than three characters is filled up with U+0000, so that it has one shingle, its own.

    Returns:
        `grams`, int64, in reading order with repetitions; `offsets`, int64, of length `len(texts) + 1`: text i owns
        `grams[offsets[i]:offsets[i + 1]]`.
    """
    padded = [text if len(text) >= SHINGLE else text.ljust(SHINGLE, "\0") for text in texts]
    lengths = np.fromiter(map(len, padded), dtype=np.int64, count=len(padded))
    joined = "".join(padded).encode("utf-32-le", "surrogatepass")
    codes = np.frombuffer(joined, dtype=np.uint32).astype(np.int64)
    offsets = np.concatenate([[0], np.cumsum(lengths - SHINGLE + 1)])
    if not padded:
        return np.empty(0, dtype=np.int64), offsets
    everywhere = (codes[:-2] << 2 * _CODE_BITS) | (codes[1:-1] << _CODE_BITS) | codes[2:]
    inside = np.ones(len(everywhere), dtype=bool)
    ends = np.cumsum(lengths)[:-1]
    inside[ends - 1] = False
    inside[ends - 2] = False
    return everywhere[inside], offsets


def chunks_of_texts(texts: pl.Series) -> Iterator[tuple[int, list[str]]]:
    """Consecutive slices of about four million characters each, with the number of their first text."""
    sizes = texts.str.len_chars().to_numpy().astype(np.int64)
    bins = np.cumsum(sizes) // _CHUNK_CHARS
    starts = np.flatnonzero(np.diff(bins, prepend=-1))
    for start, stop in zip(starts, [*starts[1:], len(texts)], strict=True):
        yield int(start), texts[int(start) : int(stop)].to_list()


def jaccard(texts: pl.Series, left: NDArray[np.int64], right: NDArray[np.int64]) -> NDArray[np.float64]:
    """Exact Jaccard similarity |A ∩ B| / |A ∪ B| of the shingle sets of pairs of texts (Jaccard 1912), in [0, 1].

    Args:
        texts: the texts.
        left: row numbers of the first text of each pair.
        right: row numbers of the second text.
    """
    result = np.empty(len(left), dtype=np.float64)
    if not len(left):
        return result
    sizes = texts.str.len_chars().to_numpy().astype(np.int64)
    bins = np.cumsum(sizes[left] + sizes[right]) // _CHUNK_CHARS
    starts = np.flatnonzero(np.diff(bins, prepend=-1))
    for start, stop in zip(starts, [*starts[1:], len(left)], strict=True):
        here = slice(int(start), int(stop))
        used, places = np.unique(np.concatenate([left[here], right[here]]), return_inverse=True)
        matrix = _shingle_sets(texts[used].to_list())
        half = len(places) // 2
        first, second = matrix[places[:half]], matrix[places[half:]]
        shared = np.diff(first.multiply(second).tocsr().indptr)
        union = np.diff(first.indptr) + np.diff(second.indptr) - shared
        result[here] = shared / union
    return result


def _shingle_sets(texts: list[str]) -> Any:
    """One sparse row per text with a true cell per distinct shingle."""
    from scipy.sparse import csr_matrix

    grams, offsets = packed_shingles(texts)
    matrix = csr_matrix((np.ones(len(grams), dtype=bool), grams, offsets), shape=(len(texts), np.iinfo(np.int64).max))
    matrix.sum_duplicates()
    return matrix
