"""Connected components over row numbers, and their ids.

Belongs here: components and the id of a component.
Does not: deciding which rows are connected (dedup.py), splits (splits.py).
"""

import hashlib
from collections.abc import Iterable

import polars as pl


def group_ids(keys: pl.Series, edges: Iterable[tuple[int, int]]) -> pl.Series:
    """Group of every key: sha256 of the smallest key it is connected to, 32 hexadecimal digits."""
    parent = list(range(len(keys)))

    def root(node: int) -> int:
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    for left, right in edges:
        parent[root(left)] = root(right)
    smallest: dict[int, str] = {}
    values = keys.to_list()
    for node, key in enumerate(values):
        top = root(node)
        smallest[top] = min(smallest.get(top, key), key)
    return pl.Series(
        "group_id", [hashlib.sha256(smallest[root(node)].encode()).hexdigest()[:32] for node in range(len(values))]
    )
