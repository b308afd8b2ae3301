"""Comparison keys as sets of character 5-grams.

Belongs here: the grams of a key, and of many keys as a sparse matrix.
Does not belong here: which shares make a hit (screen.py), shingles for near-duplicates
(corpus/dedup/similar/shingles.py).
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from medcot_pipeline.corpus.dedup.similar.candidates import mixed

GRAM = 5


def gram_set(key: str) -> set[str]:
    """The distinct grams of a key; none where it is shorter than one."""
    return {key[place : place + GRAM] for place in range(len(key) - GRAM + 1)}


def grams_of(keys: list[str]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """64-bit hashes of all 5-grams, and the number of the key that each is in; every key has one at least."""
    lengths = np.fromiter(map(len, keys), dtype=np.int64, count=len(keys))
    codes = np.frombuffer("".join(keys).encode("utf-32-le", "surrogatepass"), dtype=np.uint32).astype(np.uint64)
    owner = np.repeat(np.arange(len(keys)), lengths)
    whole = owner[GRAM - 1 :] == owner[: len(owner) - GRAM + 1]
    state = np.zeros(max(0, len(codes) - GRAM + 1), dtype=np.uint64)
    for place in range(GRAM):
        state = mixed(state ^ codes[place : place + len(state)])
    return state[whole].view(np.int64), owner[: len(whole)][whole]


def gram_sets(keys: list[str], vocabulary: NDArray[np.int64]) -> tuple[Any, NDArray[np.int64]]:
    """One sparse row per key with a 1 per distinct gram of the vocabulary, and the number of all its distinct grams."""
    from scipy.sparse import csr_matrix

    grams, owner = grams_of(keys)
    order = np.lexsort((grams, owner))
    grams, owner = grams[order], owner[order]
    first = np.ones(len(grams), dtype=bool)
    first[1:] = (grams[1:] != grams[:-1]) | (owner[1:] != owner[:-1])
    grams, owner = grams[first], owner[first]
    columns = np.minimum(np.searchsorted(vocabulary, grams), len(vocabulary) - 1)
    known = vocabulary[columns] == grams
    ones = np.ones(int(known.sum()), dtype=np.int32)
    matrix = csr_matrix((ones, (owner[known], columns[known])), shape=(len(keys), len(vocabulary)))
    return matrix, np.bincount(owner, minlength=len(keys))
