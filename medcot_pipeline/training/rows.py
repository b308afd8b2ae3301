"""Which rows a run trains on, as tokens of its base model.

Belongs here: encoding, the length limit, the token budget.
Does not: batches.
"""

import dataclasses
import hashlib
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from medcot_pipeline.chat import EncodedRow, encode_row

if TYPE_CHECKING:
    import polars as pl


@dataclasses.dataclass(frozen=True)
class TrainingRows:
    """Encoded rows in the order of choice, and how many were left out as too long or over the budget."""

    rows: list[EncodedRow]
    too_long: int
    over_budget: int

    @property
    def tokens(self) -> int:
        """Tokens of all rows, prompts included."""
        return sum(len(row.input_ids) for row in self.rows)


def choose_rows(
    tokenizer: Any, frame: "pl.DataFrame", *, max_row_tokens: int, max_tokens: int | None, seed: int
) -> TrainingRows:
    """Encode rows, leave out those above `max_row_tokens`, and stop at a budget of `max_tokens`.

    Rows are taken in the order of a salted hash of their id, so that the choice depends on neither the order of
    `frame` nor on which other rows are in it, but for the budget.
    """
    ranked = in_order_of_choice(_records(frame), seed)
    encoded = [encode_row(tokenizer, row["question"], row["reasoning"], row["answer"]) for row in ranked]
    fits = [row for row in encoded if len(row.input_ids) <= max_row_tokens]
    taken = within([len(row.input_ids) for row in fits], max_tokens)
    return TrainingRows([fits[number] for number in taken], len(encoded) - len(fits), len(fits) - len(taken))


def in_order_of_choice(records: Iterable[dict[str, Any]], seed: int) -> list[dict[str, Any]]:
    """Records with a `row_id`, in the order in which a run takes them."""

    def rank(record: dict[str, Any]) -> str:
        return hashlib.sha256(f"{seed}\0{record['row_id']}".encode()).hexdigest()

    return sorted(records, key=rank)


def within(lengths: Sequence[int], max_tokens: int | None) -> list[int]:
    """Numbers of the rows that a budget takes, in order: each that still fits into what is left of it."""
    taken, used = [], 0
    for number, size in enumerate(lengths):
        if max_tokens is None or used + size <= max_tokens:
            used += size
            taken.append(number)
    return taken


def _records(frame: "pl.DataFrame") -> Iterable[dict[str, Any]]:
    return frame.select("row_id", "question", "reasoning", "answer").iter_rows(named=True)
