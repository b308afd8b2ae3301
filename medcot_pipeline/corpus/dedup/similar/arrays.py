"""Small operations on integer arrays that several modules need.

Belongs here: distinct values, places within runs.
Does not belong here: anything that knows what the integers mean.
"""

import numpy as np
from numpy.typing import NDArray


def distinct(values: NDArray[np.int64]) -> NDArray[np.int64]:
    """Distinct values in ascending order, by sorting.

    The same as `np.unique`, which builds a hash table (numpy 2.3 and later) that is fifteen times slower on millions
    of values that are nearly all distinct.
    """
    ordered = np.sort(values)
    return ordered[first_of_run(ordered)]


def first_of_run(values: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether each value differs from the one before it."""
    first = np.ones(len(values), dtype=bool)
    first[1:] = values[1:] != values[:-1]
    return first


def place_in_run(values: NDArray[np.int64]) -> NDArray[np.int64]:
    """Place of each element within its run of equal values, from 0."""
    starts = np.flatnonzero(first_of_run(values))
    sizes = np.diff(np.append(starts, len(values)))
    return np.asarray(np.arange(len(values)) - np.repeat(starts, sizes), dtype=np.int64)
