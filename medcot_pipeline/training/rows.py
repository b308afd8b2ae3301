"""Which rows a run trains on, as tokens of its base model.

Belongs here: encoding, the length limit, the token budget.
Does not belong here: which rows make a step (steps/batches.py).
"""

import dataclasses
import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medcot_pipeline.chat import EncodedRow, encode_row
from medcot_pipeline.settings import TrainingSettings
from medcot_pipeline.support.errors import MedcotError

if TYPE_CHECKING:
    import polars as pl


@dataclasses.dataclass(frozen=True)
class TrainingRow:
    """Token ids of one row and the labels to learn, of equal length; as long as it has tokens."""

    input_ids: list[int]
    labels: list[int]

    @classmethod
    def of(cls, encoded: EncodedRow) -> "TrainingRow":
        """From a row with its segments apart."""
        return cls(encoded.input_ids, encoded.labels)

    def __len__(self) -> int:
        return len(self.input_ids)


@dataclasses.dataclass(frozen=True)
class ChosenRows:
    """Rows in the order of choice, and how many were left out as too long or over the budget.

    Attributes:
        rows: tokens of the rows taken.
        too_long: rows left out as longer than the limit.
        over_budget: rows left out as the budget was used up.
        taken: `row_id` of the rows taken, in their order.
        long: `row_id` of those that are too long.
    """

    rows: list[TrainingRow]
    too_long: int
    over_budget: int
    taken: tuple[str, ...] = ()
    long: tuple[str, ...] = ()

    @property
    def tokens(self) -> int:
        """Tokens of all rows, prompts included."""
        return sum(map(len, self.rows))


def training_rows(tokenizer: Any, sft: Path, settings: TrainingSettings, max_row_tokens: int) -> ChosenRows:
    """The rows that a run learns from.

    Args:
        tokenizer: of the base model.
        sft: `rows.parquet` of the SFT data set.
        settings: hyper-parameters.
        max_row_tokens: tokens of the longest row to be taken.

    Raises:
        MedcotError: no row is short enough, or one is too long and that is to fail.
    """
    from medcot_pipeline.support.table_files import read_parquet

    chosen = choose_rows(
        tokenizer,
        read_parquet(sft),
        max_row_tokens=max_row_tokens,
        max_tokens=settings.max_train_tokens,
        seed=settings.seed,
    )
    if not chosen.rows:
        raise MedcotError(
            f"No training row has at most {max_row_tokens:,} tokens ({chosen.too_long:,} are longer).",
            "Raise MEDCOT_TRAINING__MAX_ROW_TOKENS or MEDCOT_SFT__MAX_TOKENS.",
        )
    if chosen.too_long and settings.too_long == "fail":
        raise MedcotError(
            f"{chosen.too_long:,} training rows have more than {max_row_tokens:,} tokens.",
            "Raise MEDCOT_TRAINING__MAX_ROW_TOKENS, or leave them out with MEDCOT_TRAINING__TOO_LONG=drop.",
        )
    return chosen


def validation_rows(tokenizer: Any, splits: Path, settings: TrainingSettings, max_row_tokens: int) -> list[TrainingRow]:
    """The first few rows of the validation split, in the order of choice; `splits` is its `rows.parquet`."""
    import polars as pl

    from medcot_pipeline.support.table_files import read_parquet

    held_out = read_parquet(splits).filter(pl.col("split") == "validation")
    chosen = choose_rows(tokenizer, held_out, max_row_tokens=max_row_tokens, max_tokens=None, seed=settings.seed)
    return chosen.rows[: settings.validation_rows]


def choose_rows(
    tokenizer: Any, frame: "pl.DataFrame", *, max_row_tokens: int, max_tokens: int | None, seed: int
) -> ChosenRows:
    """Encode rows, leave out those above `max_row_tokens`, and stop at a budget of `max_tokens`.

    Rows are taken in the order of a salted hash of their id, so that the choice depends on neither the order of
    `frame` nor on which other rows are in it, but for the budget.
    """
    ranked = in_order_of_choice(_records(frame), seed)
    encoded = [
        TrainingRow.of(encode_row(tokenizer, row["question"], row["reasoning"], row["answer"])) for row in ranked
    ]
    ids = [str(row["row_id"]) for row in ranked]
    fits = [number for number, row in enumerate(encoded) if len(row) <= max_row_tokens]
    taken = [fits[number] for number in within([len(encoded[number]) for number in fits], max_tokens)]
    return ChosenRows(
        rows=[encoded[number] for number in taken],
        too_long=len(encoded) - len(fits),
        over_budget=len(fits) - len(taken),
        taken=tuple(ids[number] for number in taken),
        long=tuple(name for name, row in zip(ids, encoded, strict=True) if len(row) > max_row_tokens),
    )


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
