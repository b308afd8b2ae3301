"""Which rows a run trains on, as tokens of its base model.

Belongs here: encoding, the length limit, the token budget.
Does not: batches.
"""

import dataclasses
import hashlib
from collections.abc import Iterable
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
    chosen: list[EncodedRow] = []
    too_long = over_budget = used = 0
    for row in sorted(_records(frame), key=lambda record: _rank(record["row_id"], seed)):
        encoded = encode_row(tokenizer, row["question"], row["reasoning"], row["answer"])
        size = len(encoded.input_ids)
        if size > max_row_tokens:
            too_long += 1
        elif max_tokens is not None and used + size > max_tokens:
            over_budget += 1
        else:
            used += size
            chosen.append(encoded)
    return TrainingRows(chosen, too_long, over_budget)


def _records(frame: "pl.DataFrame") -> Iterable[dict[str, Any]]:
    return frame.select("row_id", "question", "reasoning", "answer").iter_rows(named=True)


def _rank(row_id: str, seed: int) -> str:
    return hashlib.sha256(f"{seed}\0{row_id}".encode()).hexdigest()
