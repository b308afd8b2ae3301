"""Which characters stand beside which in the corpus: the evidence that tells a misprint from another word.

A word is known by the company it keeps (Harris 1954, Distributional Structure): 肝 and 肾 occur between the same
neighbours, so an exchange of the two makes another question; a random character does not.

Belongs here: counting neighbours, how alike two characters are used.
Does not belong here: what follows from it for a pair of questions (guards.py).
"""

import math

import numpy as np
import polars as pl
from numpy.typing import NDArray

from medcot_pipeline.corpus.dedup.similar.arrays import distinct
from medcot_pipeline.corpus.dedup.similar.shingles import chunks_of_texts

EDGE = "\n"  # stands before the first and after the last character of a text
_BITS = 21
_PAIR = (1 << 2 * _BITS) - 1


class Contexts:
    """Neighbours of characters over distinct texts."""

    def __init__(self, texts: pl.Series) -> None:
        """Count the neighbours. Args: texts: distinct comparison keys, none empty, any order."""
        pairs: list[NDArray[np.int64]] = [np.empty(0, dtype=np.int64)]
        counts: list[NDArray[np.int64]] = [np.empty(0, dtype=np.int64)]
        slots: list[NDArray[np.int64]] = [np.empty(0, dtype=np.int64)]
        for _, chunk in chunks_of_texts(texts):
            codes, rows = _with_edges(chunk)
            once = distinct(rows[:-1] << 2 * _BITS | codes[:-1] << _BITS | codes[1:])
            found, count = np.unique(once & _PAIR, return_counts=True)
            pairs.append(found)
            counts.append(count)
            slots.append(distinct(codes[1:-1] << 2 * _BITS | codes[:-2] << _BITS | codes[2:]))
        self._pairs, place = np.unique(np.concatenate(pairs), return_inverse=True)
        self._counts = np.bincount(place, weights=np.concatenate(counts), minlength=len(self._pairs)).astype(np.int64)
        self._slots = distinct(np.concatenate(slots))
        self._seen: dict[str, int] = {}
        self._alike: dict[str, tuple[NDArray[np.int64], float]] = {}

    def seen(self, left: str, right: str) -> int:
        """Number of texts in which the character `right` follows the character `left`."""
        both = left + right
        if both not in self._seen:
            code = ord(left) << _BITS | ord(right)
            place = int(np.searchsorted(self._pairs, code))
            hit = place < len(self._pairs) and self._pairs[place] == code
            self._seen[both] = int(self._counts[place]) if hit else 0
        return self._seen[both]

    def exchangeable(self, one: str, other: str, left: str, right: str) -> float:
        """Cosine of the sets of (left, right) neighbours of two characters, in [0, 1], without the pair given.

        The pair given is where the exchange was found; counting it would make every exchange its own evidence.
        """
        both = one + other if one < other else other + one
        if both not in self._alike:
            first, second = self._neighbours(one), self._neighbours(other)
            shared = np.intersect1d(first, second, assume_unique=True)
            self._alike[both] = shared, math.sqrt(len(first) * len(second))
        shared, scale = self._alike[both]
        code = ord(left) << _BITS | ord(right)
        place = int(np.searchsorted(shared, code))
        own = place < len(shared) and shared[place] == code
        return (len(shared) - int(own)) / scale if scale else 0.0

    def _neighbours(self, char: str) -> NDArray[np.int64]:
        bounds = np.searchsorted(self._slots, [ord(char) << 2 * _BITS, (ord(char) + 1) << 2 * _BITS])
        return self._slots[bounds[0] : bounds[1]] & _PAIR


def _with_edges(texts: list[str]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Code points of all texts with an edge around each, and the number of the text that each belongs to."""
    joined = EDGE + EDGE.join(texts) + EDGE
    codes = np.frombuffer(joined.encode("utf-32-le", "surrogatepass"), dtype=np.uint32).astype(np.int64)
    lengths = np.fromiter(map(len, texts), dtype=np.int64, count=len(texts)) + len(EDGE)
    return codes, np.append(np.repeat(np.arange(len(texts)), lengths), len(texts) - 1)
