"""Connected components of keys, and their ids.

Belongs here: components, the id of a component.
Does not belong here: deciding which keys are connected (duplicates.py), splits (corpus/splits/assign.py).
"""

import hashlib

import numpy as np
import polars as pl
from numpy.typing import NDArray


def group_ids(keys: pl.Series, left: NDArray[np.int64], right: NDArray[np.int64]) -> pl.Series:
    """Group of every key: the first 32 hexadecimal digits of the sha256 of the smallest key it is connected to.

    Args:
        keys: distinct keys in ascending order.
        left: row numbers of one end of each edge.
        right: row numbers of the other end.
    """
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    graph = coo_matrix((np.ones(len(left), dtype=bool), (left, right)), shape=(len(keys), len(keys)))
    _, component = connected_components(graph, directed=False)
    _, first, place = np.unique(component, return_index=True, return_inverse=True)
    ids = [group_of_key(key) for key in keys[first].to_list()]
    return pl.Series("group_id", ids, dtype=pl.String)[place]


def group_of_key(smallest: str) -> str:
    """Id of the group whose smallest key this is."""
    return hashlib.sha256(smallest.encode()).hexdigest()[:32]
