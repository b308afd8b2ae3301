"""Train, validation and test by group, so that adding rows does not move old ones.

Belongs here: the assignment, and what moved since last time.
Does not belong here: groups (corpus/dedup/duplicates.py), leaks across splits (leaks.py), benchmarks
(corpus/overlap/screen.py).
"""

import hashlib

import polars as pl

from medcot_pipeline.corpus.splits.leaks import SPLITS, leaks
from medcot_pipeline.settings import SplitSettings

__all__ = ["ENOUGH_GROUPS", "SPLITS", "assign_splits", "leaks", "moved_rows"]

ENOUGH_GROUPS = 3
"""Groups from which on every split of a share above 0 has one."""


def assign_splits(rows: pl.DataFrame, settings: SplitSettings) -> pl.DataFrame:
    """Add `split`: where sha256(salt|group_id), read as a number in [0, 1), falls among the cumulative shares.

    A row's split depends on its group alone, with two exceptions for the sake of small and of lopsided inputs:

    1. A group of several rows that has more rows than its split is meant to have (share x rows) goes to train, or
       where train's share is 0 stays; a split is never one group.
    2. With three groups or more, each split of a share above 0 that got none takes one: the group of the fewest rows,
       ties by its number, out of the split that has the most groups.

    Neither happens once every split has many groups, so rows added later do not move old ones. A group that grows
    together with another does move, with all its rows; `moved_rows` lists them.

    Args:
        rows: `group_id`: str, and any other columns.
        settings: shares and salt.

    Returns:
        The rows in their order, with `split`.
    """
    groups = rows.group_by("group_id").len("size").sort("group_id")
    places = {group: _place(settings.salt, group) for group in groups["group_id"].to_list()}
    sizes = dict(groups.iter_rows())
    shares = dict(zip(SPLITS, (settings.train, settings.validation, settings.test), strict=True))
    chosen = {group: _split(place, shares, sizes[group], rows.height) for group, place in places.items()}
    _fill_empty_splits(chosen, shares, sizes, places)
    table = pl.DataFrame(
        {"group_id": list(chosen), "split": list(chosen.values())}, schema={"group_id": pl.String, "split": pl.String}
    )
    return rows.join(table, on="group_id", how="left", maintain_order="left")


def moved_rows(previous: pl.DataFrame, now: pl.DataFrame) -> pl.DataFrame:
    """Rows of both frames whose split changed, by row_id: `row_id`, `split_before`, `split_now`.

    Args:
        previous: `row_id`, `split` of the last assignment.
        now: the same of this one.
    """
    return (
        previous.select("row_id", pl.col("split").alias("split_before"))
        .join(now.select("row_id", pl.col("split").alias("split_now")), on="row_id")
        .filter(pl.col("split_before") != pl.col("split_now"))
        .sort("row_id")
    )


def _place(salt: str, group: str) -> float:
    """The first 53 bits of sha256(salt|group) as a number in [0, 1): as many as a float holds exactly."""
    return (int.from_bytes(hashlib.sha256(f"{salt}|{group}".encode()).digest()[:8]) >> 11) / 2**53


def _split(place: float, shares: dict[str, float], size: int, rows: int) -> str:
    edge = 0.0
    last = [name for name, share in shares.items() if share > 0][-1]
    for name, share in shares.items():
        edge += share
        if share > 0 and (place < edge or name == last):
            too_large = size > 1 and size > share * rows
            return "train" if too_large and shares["train"] > 0 else name
    raise AssertionError("shares sum to 1")


def _fill_empty_splits(
    chosen: dict[str, str], shares: dict[str, float], sizes: dict[str, int], places: dict[str, float]
) -> None:
    """Give every split of a share above 0 a group, in place, where there are enough groups."""
    if len(chosen) < ENOUGH_GROUPS:
        return
    members: dict[str, list[str]] = {name: [] for name in shares}
    for group, name in chosen.items():
        members[name].append(group)
    for name in [name for name, share in shares.items() if share > 0 and not members[name]]:
        donor = max(members, key=lambda other: len(members[other]))
        group = min(members[donor], key=lambda group: (sizes[group], places[group], group))
        members[donor].remove(group)
        members[name].append(group)
        chosen[group] = name
