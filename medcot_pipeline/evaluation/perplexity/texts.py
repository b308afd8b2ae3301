"""Texts to measure: rows and general passages as tokens, those that are marks told from those that are text.

Belongs here: encoding, which rows are too long, reading passages.
Does not belong here: their likelihood (measure.py), which rows are held out (corpus/splits/assign.py) or were learned
from (training/learned.py).
"""

import dataclasses
import itertools
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import polars as pl

from medcot_pipeline.chat import encode_row
from medcot_pipeline.records.figures import RowsOf
from medcot_pipeline.support.errors import MedcotError
from medcot_pipeline.support.row_files import BrokenRecord, read_json_lines


@dataclasses.dataclass(frozen=True)
class Passage:
    """A text that has nothing to do with the training: what both models should know alike."""

    id: str
    language: str
    text: str


@dataclasses.dataclass(frozen=True)
class Piece:
    """Tokens of one segment of a text.

    Attributes:
        ids: of the tokens.
        text: of each token, whether it holds a character of the text itself. The others are marks, such as `</think>`
            with the line ends around it, or the end token.
        bytes: of the text itself in UTF-8, which are as many under every tokenizer; 0 for a prompt, which is given.
    """

    ids: list[int]
    text: list[bool]
    bytes: int


@dataclasses.dataclass(frozen=True)
class Text:
    """A text to measure by its segments, in order. The first token of all is given, not predicted."""

    set: str
    row_id: str
    language: str
    group_id: str
    segments: dict[str, Piece]

    @property
    def ids(self) -> list[int]:
        """All ids, in order."""
        return list(itertools.chain.from_iterable(piece.ids for piece in self.segments.values()))


def encode_rows(tokenizer: Any, rows: pl.DataFrame, name: str) -> Iterator[Text]:
    """Rows in their order, as training sees them.

    Args:
        tokenizer: of the base model.
        rows: `row_id`, `group_id`, `language`, `question`, `reasoning`, `answer`: str.
        name: of the set that they are: `test` or `train`.
    """
    for row in rows.iter_rows(named=True):
        encoded = encode_row(tokenizer, row["question"], row["reasoning"], row["answer"])
        segments = {
            "prompt": Piece(encoded.prompt, [False] * len(encoded.prompt), 0),
            "reasoning": Piece(encoded.reasoning, encoded.reasoning_text, _bytes(row["reasoning"].strip())),
            "answer": Piece(encoded.answer, encoded.answer_text, _bytes(row["answer"].strip())),
        }
        yield Text(name, row["row_id"], row["language"], row["group_id"], segments)


def encode_passage(tokenizer: Any, passage: Passage) -> Text:
    """A passage after the token that texts begin with: the begin token, or the end token where there is none."""
    first = tokenizer.eos_token_id if tokenizer.bos_token_id is None else tokenizer.bos_token_id
    ids = tokenizer.encode(passage.text, add_special_tokens=False)
    segments = {"prompt": Piece([first], [False], 0), "text": Piece(ids, [True] * len(ids), _bytes(passage.text))}
    return Text("general", passage.id, passage.language, passage.id, segments)


def _bytes(text: str) -> int:
    return len(text.encode("utf-8"))


def held_out_texts(tokenizer: Any, splits: pl.DataFrame, longest: int) -> tuple[list[Text], dict[str, RowsOf]]:
    """The held-out rows of at most `longest` tokens in the order of their id, and how many are longer, by language.

    Raises:
        MedcotError: none is short enough.
    """
    held_out = list(encode_rows(tokenizer, splits.filter(split="test").sort("row_id"), "test"))
    fitting = [text for text in held_out if len(text.ids) <= longest]
    if not fitting:
        raise MedcotError(
            f"No held-out row has at most {longest:,} tokens ({len(held_out):,} are longer).",
            "Raise MEDCOT_PERPLEXITY__MAX_ROW_TOKENS, or give more rows.",
        )
    long = (text.language for text in held_out if len(text.ids) > longest)
    return fitting, by_language(long, (text.language for text in held_out))


def by_language(some: Iterable[str], every: Iterable[str]) -> dict[str, RowsOf]:
    """How many of the rows of each language are among some of them.

    Args:
        some: the languages of those rows.
        every: the languages of all rows.
    """
    counted = Counter(some)
    return {language: RowsOf(rows=counted[language], of=of) for language, of in sorted(Counter(every).items())}


def read_passages(path: Path) -> list[Passage]:
    """General passages out of a JSONL file with id, language and text.

    Raises:
        MedcotError: no such file, a line that is no passage, or an identifier given twice.
    """
    if not path.is_file():
        raise MedcotError(f"{path}: no such file of passages.", "Set MEDCOT_PERPLEXITY__GENERAL_TEXTS to a JSONL file.")
    passages: list[Passage] = []
    seen: set[str] = set()
    for where, fields in read_json_lines(path):
        if isinstance(fields, BrokenRecord):
            raise MedcotError(f"{path}, {where}: not a passage ({fields.problem}).")
        try:
            passage = Passage(**fields)
        except TypeError as error:
            raise MedcotError(f"{path}, {where}: not a passage ({error}).") from error
        if passage.id in seen:
            raise MedcotError(f"{path}, {where}: the id {passage.id} appears twice.", "Give it another id.")
        seen.add(passage.id)
        passages.append(passage)
    return passages
