"""Pairs of texts that share many characters in any order: candidates for a paraphrase.

Belongs here: character TF-IDF, the inverted index, exact cosines.
Does not belong here: deleting anything on this evidence; it is good for grouping and for showing only.
"""

from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from medcot_pipeline.corpus.dedup.similar.arrays import distinct, place_in_run
from medcot_pipeline.corpus.dedup.similar.shingles import chunks_of_texts

MOST_POSTINGS = 200  # texts a term may be in to serve the search; commoner terms count in the exact cosine only
CANDIDATES = 10  # per text, by the part of the cosine that rare terms give
NEAREST = 5  # per text, by the exact cosine
_LEAST_PARTIAL = 0.10
_ROWS_AT_ONCE = 2_000
_PAIRS_AT_ONCE = 50_000
_BITS = 21

Triples = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]


def paraphrase_pairs(texts: pl.Series, least: float) -> Triples:
    """The 5 nearest texts of each text by cosine of TF-IDF over characters and pairs of characters, where >= `least`.

    Weights are tf * (ln((1 + n) / (1 + df)) + 1) (Salton and Buckley 1988, smoothed), cosines are rounded to six
    digits. Candidates come from an inverted index over the terms that at most 200 texts have, so that time grows with
    the number of texts and not with its square; two texts that share no such term are not found.

    Args:
        texts: distinct texts in ascending order, none empty.
        least: cosine in [0, 1].

    Returns:
        Row numbers `left < right` in ascending order, and the cosine of each pair.
    """
    terms, idf, rare = _vocabulary(texts)
    index = _stacked([_weights(chunk, terms, idf)[:, rare] for _, chunk in chunks_of_texts(texts)], int(rare.sum()))
    codes = [np.empty(0, dtype=np.int64)]
    transposed = index.T.tocsr()
    for start in range(0, len(texts), _ROWS_AT_ONCE):
        codes.append(_best_candidates(index[start : start + _ROWS_AT_ONCE] @ transposed, start))
    pairs = distinct(np.concatenate(codes))
    left, right = pairs >> 32, pairs & 0xFFFFFFFF
    cosines = np.concatenate(
        [np.empty(0)]
        + [
            _cosines(texts, left[at : at + _PAIRS_AT_ONCE], right[at : at + _PAIRS_AT_ONCE], terms, idf)
            for at in range(0, len(left), _PAIRS_AT_ONCE)
        ]
    )
    near = cosines >= least
    left, right, cosines = left[near], right[near], cosines[near]
    chosen = _nearest(left, right, cosines)
    return left[chosen], right[chosen], cosines[chosen]


def _terms(texts: list[str]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Every character and pair of characters as an integer, and the number of the text it is in."""
    codes = np.frombuffer("".join(texts).encode("utf-32-le", "surrogatepass"), dtype=np.uint32).astype(np.int64)
    lengths = np.fromiter(map(len, texts), dtype=np.int64, count=len(texts))
    owner = np.repeat(np.arange(len(texts)), lengths)
    together = owner[1:] == owner[:-1]
    pairs = (codes[:-1] << _BITS | codes[1:])[together]
    return np.concatenate([codes, pairs]), np.concatenate([owner, owner[1:][together]])


def _vocabulary(texts: pl.Series) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.bool_]]:
    """Terms in ascending order, their inverse document frequency, and whether the search uses them."""
    found, counts = [np.empty(0, dtype=np.int64)], [np.empty(0, dtype=np.int64)]
    for _, chunk in chunks_of_texts(texts):
        values, owner = _terms(chunk)
        once = distinct(owner << 2 * _BITS | values) & ((1 << 2 * _BITS) - 1)
        some, count = np.unique(once, return_counts=True)
        found.append(some)
        counts.append(count)
    terms, place = np.unique(np.concatenate(found), return_inverse=True)
    frequency = np.bincount(place, weights=np.concatenate(counts), minlength=len(terms))
    idf = np.log((1 + len(texts)) / (1 + frequency)) + 1
    return terms, idf, (frequency >= 2) & (frequency <= MOST_POSTINGS)


def _weights(texts: list[str], terms: NDArray[np.int64], idf: NDArray[np.float64]) -> Any:
    """One sparse row of length 1 per text."""
    from scipy.sparse import csr_matrix, diags

    values, owner = _terms(texts)
    columns = np.searchsorted(terms, values)
    matrix = csr_matrix((idf[columns], (owner, columns)), shape=(len(texts), len(terms)))
    length = np.sqrt(np.asarray(matrix.multiply(matrix).sum(axis=1)).ravel())
    return diags(1 / length) @ matrix


def _stacked(parts: list[Any], columns: int) -> Any:
    from scipy.sparse import csr_matrix, vstack

    return vstack(parts, format="csr") if parts else csr_matrix((0, columns))


def _best_candidates(products: Any, start: int) -> NDArray[np.int64]:
    """The best columns of each row as `left << 32 | right`, the row itself left out."""
    table = products.tocoo()
    row, column, value = table.row.astype(np.int64) + start, table.col.astype(np.int64), np.round(table.data, 6)
    keep = (value >= _LEAST_PARTIAL) & (row != column)
    row, column, value = row[keep], column[keep], value[keep]
    order = np.lexsort((column, -value, row))
    row, column = row[order], column[order]
    within = place_in_run(row) < CANDIDATES
    row, column = row[within], column[within]
    pairs: NDArray[np.int64] = np.minimum(row, column) << 32 | np.maximum(row, column)
    return pairs


def _cosines(
    texts: pl.Series,
    left: NDArray[np.int64],
    right: NDArray[np.int64],
    terms: NDArray[np.int64],
    idf: NDArray[np.float64],
) -> NDArray[np.float64]:
    used, places = np.unique(np.concatenate([left, right]), return_inverse=True)
    matrix = _weights(texts[used].to_list(), terms, idf)
    products = matrix[places[: len(left)]].multiply(matrix[places[len(left) :]])
    cosines: NDArray[np.float64] = np.round(np.asarray(products.sum(axis=1), dtype=np.float64).ravel(), 6)
    return cosines


def _nearest(left: NDArray[np.int64], right: NDArray[np.int64], cosines: NDArray[np.float64]) -> NDArray[np.int64]:
    """Numbers of the pairs in which one is among the nearest of the other, ascending."""
    pair = np.concatenate([np.arange(len(left))] * 2)
    row, other = np.concatenate([left, right]), np.concatenate([right, left])
    order = np.lexsort((other, -np.concatenate([cosines, cosines]), row))
    return distinct(pair[order][place_in_run(row[order]) < NEAREST])
