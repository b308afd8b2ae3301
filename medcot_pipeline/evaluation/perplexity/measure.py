"""Negative log-likelihood of texts under one model, token by token.

Belongs here: measuring texts.
Does not: which texts, and how they are tokenised (texts.py), perplexities and intervals (figures.py).
"""

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import polars as pl

from medcot_pipeline.evaluation.perplexity.texts import Text
from medcot_pipeline.models.arms import without_adapter
from medcot_pipeline.support.progress import Progress, Say

LOGIT_CHUNKS = {"cpu": 32, "cuda": 256}
"""Positions whose logits stand in memory together: 256 x 152,064 x 4 bytes = 149 MiB.

On a CPU a smaller piece stays nearer the cache; benchmarks/evaluation.py shows what that is worth.
"""

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


def measure_texts(
    model: Any, tokenizer: Any, texts: Sequence[Text], batch_size: int, say: Say
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Lines of `EXAMPLE_SCHEMA` and of `TOKEN_SCHEMA`.

    The longest come first: a batch that does not fit into memory is met at once, and time left is not underestimated.
    """
    progress = Progress("perplexity", say)
    records: list[dict[str, Any]] = []
    tokens: list[dict[str, Any]] = []
    ordered = sorted(texts, key=lambda text: (-len(text.ids), text.set, text.row_id))
    for start in range(0, len(ordered), batch_size):
        batch = ordered[start : start + batch_size]
        losses = token_nll(model, [text.ids for text in batch], tokenizer.pad_token_id)
        for text, own in zip(batch, losses, strict=True):
            records += _segments(text, own)
            tokens.append({"set": text.set, "row_id": text.row_id, "nll": own.tolist()})
        progress(start + len(batch), len(texts), "texts")
    return (
        pl.DataFrame(records, schema=EXAMPLE_SCHEMA).sort("set", "row_id", "segment"),
        pl.DataFrame(tokens, schema=TOKEN_SCHEMA).sort("set", "row_id"),
    )


def token_nll(model: Any, rows: Sequence[Sequence[int]], pad_token_id: int) -> list[Any]:
    """Negative log-likelihood of every token but the first: a float64 tensor [tokens - 1] per row, in nats.

    Rows are padded on the right, so that no token sees padding. Logits stand in memory a few positions at a time
    (`LOGIT_CHUNKS`): those of a whole batch would be gigabytes.
    """
    import torch

    lengths = [len(row) for row in rows]
    padding = [max(lengths) - length for length in lengths]
    split: Any = torch.Tensor.split
    ids = torch.tensor([[*row, *[pad_token_id] * more] for row, more in zip(rows, padding, strict=True)])
    mask = torch.tensor([[1] * length + [0] * more for length, more in zip(lengths, padding, strict=True)])
    ids, mask = ids.to(model.device), mask.to(model.device)
    decoder, chunk = without_adapter(model), LOGIT_CHUNKS[model.device.type]
    with torch.no_grad():
        hidden = decoder.model(input_ids=ids, attention_mask=mask, use_cache=False).last_hidden_state
        scored = mask[:, 1:].bool()
        states, targets = hidden[:, :-1][scored], ids[:, 1:][scored]
        pieces = [
            _cross_entropy(decoder.lm_head(some).float(), wanted)
            for some, wanted in zip(split(states, chunk), split(targets, chunk), strict=True)
        ]
    return list(split(torch.cat(pieces).double().cpu(), [length - 1 for length in lengths]))


def _cross_entropy(logits: Any, targets: Any) -> Any:
    """-log softmax(logits)[target], in place: a second copy of the logits would take longer than the model."""
    wanted = logits.gather(1, targets[:, None])[:, 0]
    largest = logits.amax(1, keepdim=True)
    return logits.sub_(largest).exp_().sum(1).log_() + largest[:, 0] - wanted


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
