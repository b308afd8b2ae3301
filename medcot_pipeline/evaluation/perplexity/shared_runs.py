"""Long runs of characters that a held-out row has in common with rows to train on: template text, learnt by heart.

Splits hold near-duplicate questions together, but reasoning is written from the same phrases again and again, and a
model that has learnt these by heart finds held-out reasoning likely. So such rows are counted and measured apart.

Belongs here: finding the runs.
Does not belong here: what perplexity is with and without such rows (figures.py), near-duplicate questions
(corpus/dedup/).
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import polars as pl

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LEAST_CHARS = 40
"""Characters of a run that is long: in Chinese a sentence or two, in English half of one."""
STEPS = (1, 2, 4, 8, 16, 8)
"""How far apart two windows stand that together make the next longer one: 1, 2, 4, 8, 16, 32 and 40 characters."""
TEXTS_AT_ONCE = 2_000
"""Texts whose windows stand in memory together: at 1,500 characters each, 24 MB an array."""


def shared_runs(splits: pl.DataFrame) -> pl.DataFrame:
    """The longest run that each held-out row shares with the reasoning or the answer of rows to train on.

    A run is a stretch of a held-out reasoning or answer each of whose windows of `LEAST_CHARS` characters stands
    verbatim in some reasoning or answer of the training split. Windows are compared by hashes of 64 bits.

    Args:
        splits: `row_id`, `split`, `language`, `reasoning`, `answer`: str.

    Returns:
        `row_id`, `language`: str; `longest`: i64, characters, 0 where no window is shared; by row_id.
    """
    import numpy as np

    held_out = splits.filter(split="test").sort("row_id")
    texts = _texts(held_out)
    windows, owners = _windows(texts)
    wanted, place = np.unique(windows, return_inverse=True)
    known = np.zeros(len(wanted), dtype=bool)
    trained = _texts(splits.filter(split="train"))
    for start in range(0, len(trained), TEXTS_AT_ONCE):
        some, _ = _windows(trained[start : start + TEXTS_AT_ONCE])
        _mark(known, wanted, some)
    of_text = _longest(known[place], owners, len(texts))
    longest = of_text.reshape(2, held_out.height).max(axis=0)
    columns = {"row_id": held_out["row_id"], "language": held_out["language"], "longest": longest}
    return pl.DataFrame(columns, schema_overrides={"longest": pl.Int64})


def _texts(rows: pl.DataFrame) -> list[str]:
    """All reasonings, then all answers."""
    return [text.strip() for name in ("reasoning", "answer") for text in rows[name].to_list()]


def _windows(texts: Sequence[str]) -> tuple["NDArray[np.uint64]", "NDArray[np.int64]"]:
    """Hashes of all windows of `LEAST_CHARS` characters in their order, and the number of the text that each is in."""
    import numpy as np

    lengths = np.fromiter(map(len, texts), dtype=np.int64, count=len(texts))
    state: Any = np.frombuffer("".join(texts).encode("utf-32-le", "surrogatepass"), dtype=np.uint32).astype(np.uint64)
    for step in STEPS:
        state = _mixed(state[: max(0, len(state) - step)], state[step:])
    owner = np.repeat(np.arange(len(texts)), lengths)
    whole = owner[LEAST_CHARS - 1 :] == owner[: len(state)]
    return state[whole], owner[: len(state)][whole]


def _mixed(left: "NDArray[np.uint64]", right: "NDArray[np.uint64]") -> "NDArray[np.uint64]":
    """One hash of two, which depends on their order: a round of MurmurHash3's finaliser (Appleby 2008)."""
    import numpy as np

    state = left * np.uint64(0x9E3779B97F4A7C15) + right
    state ^= state >> np.uint64(33)
    state *= np.uint64(0xFF51AFD7ED558CCD)
    state ^= state >> np.uint64(33)
    return state


def _mark(known: "NDArray[np.bool_]", wanted: "NDArray[np.uint64]", some: "NDArray[np.uint64]") -> None:
    """Mark in place which of the wanted hashes, in ascending order, are among some."""
    import numpy as np

    found = np.searchsorted(wanted, some)
    found[found == len(wanted)] = 0
    known[found[wanted[found] == some]] = True


def _longest(shared: "NDArray[np.bool_]", owners: "NDArray[np.int64]", texts: int) -> "NDArray[np.int64]":
    """Characters of the longest stretch of shared windows in each text."""
    import numpy as np

    longest = np.zeros(texts, dtype=np.int64)
    places = np.flatnonzero(shared)
    if len(places):
        first = np.ones(len(places), dtype=bool)
        first[1:] = (places[1:] != places[:-1] + 1) | (owners[places[1:]] != owners[places[:-1]])
        starts = np.flatnonzero(first)
        windows = np.diff(np.append(starts, len(places)))
        np.maximum.at(longest, owners[places[starts]], windows + LEAST_CHARS - 1)
    return longest
