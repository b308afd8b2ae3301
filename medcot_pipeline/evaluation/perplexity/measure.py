"""Negative log-likelihood of texts under one model, as tables by segment and by token.

Belongs here: the tables, and how far a measurement is.
Does not belong here: which texts, and how they are tokenised (texts.py), the likelihoods themselves
(packing/likelihood.py), perplexities and intervals (figures.py).
"""

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import polars as pl

from medcot_pipeline.evaluation.perplexity.packing.likelihood import LineBudget, token_nll
from medcot_pipeline.evaluation.perplexity.texts import Text
from medcot_pipeline.support.progress import Progress, Say

EXAMPLE_SCHEMA = {
    "set": pl.String,  # test, train or general
    "row_id": pl.String,
    "language": pl.String,
    "group_id": pl.String,  # near-duplicates share one
    "segment": pl.String,  # prompt, reasoning or answer; text of a general passage
    "nll": pl.Float64,  # nats, over the segment's tokens
    "tokens": pl.Int64,
    "text_nll": pl.Float64,  # nats, over its tokens that are text, without marks such as the end token
    "text_tokens": pl.Int64,  # those tokens
    "bytes": pl.Int64,  # of that text in UTF-8
}
TOKEN_SCHEMA: dict[str, Any] = {"set": pl.String, "row_id": pl.String, "nll": pl.List(pl.Float32)}


class MeasuredTokens:
    """Says how many tokens of a job are measured, whichever texts and arms they belong to."""

    def __init__(self, total: int, say: Say) -> None:
        """Args: total: tokens that the job measures; say: where progress goes."""
        self._progress = Progress("perplexity", say)
        self._total, self._done = total, 0

    def __call__(self, tokens: int) -> None:
        """Note that so many more are measured."""
        self._done += tokens
        self._progress(self._done, self._total, "tokens")


def tokens_of(texts: Sequence[Text]) -> int:
    """All tokens of some texts, prompts included."""
    return sum(len(piece.ids) for text in texts for piece in text.segments.values())


def measure_texts(
    model: Any, texts: Sequence[Text], budget: LineBudget, measured: Callable[[int], None]
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Lines of `EXAMPLE_SCHEMA` and of `TOKEN_SCHEMA`.

    Which texts share a line depends on nothing but the texts and the budget, so that both arms round alike: an adapter
    without effect differs by 0.

    Args:
        model: of transformers, or one of PEFT around it.
        texts: in any order.
        budget: of a line of texts.
        measured: told the tokens of each line that is done.

    Raises:
        MedcotError: a single text does not fit the memory.
    """
    ordered = sorted(texts, key=lambda text: (text.set, text.row_id))
    losses = token_nll(model, [text.ids for text in ordered], budget, measured)
    records = [record for text, own in zip(ordered, losses, strict=True) for record in _segments(text, own)]
    tokens = [
        {"set": text.set, "row_id": text.row_id, "nll": own.tolist()} for text, own in zip(ordered, losses, strict=True)
    ]
    return (
        pl.DataFrame(records, schema=EXAMPLE_SCHEMA).sort("set", "row_id", "segment"),
        pl.DataFrame(tokens, schema=TOKEN_SCHEMA).sort("set", "row_id"),
    )


def _segments(text: Text, losses: Any) -> Iterator[dict[str, Any]]:
    """One record per segment; `losses` begins with the second token."""
    start = 0
    for segment, piece in text.segments.items():
        given = 0 if start else 1
        ids, is_text = piece.ids[given:], piece.text[given:]
        nll = losses[start + given - 1 : start + len(piece.ids) - 1].tolist()
        start += len(piece.ids)
        if ids:
            yield {
                "set": text.set,
                "row_id": text.row_id,
                "language": text.language,
                "group_id": text.group_id,
                "segment": segment,
                "nll": sum(nll),
                "tokens": len(ids),
                "text_nll": sum(itertools.compress(nll, is_text)),
                "text_tokens": sum(is_text),
                "bytes": piece.bytes,
            }
