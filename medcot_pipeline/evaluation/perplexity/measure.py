"""Negative log-likelihood of texts under one model, token by token.

Belongs here: which texts are measured, how they are tokenised, and measuring them.
Does not: perplexities and intervals (figures.py), which rows are held out (corpus/splits/assign.py).
"""

import dataclasses
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from medcot_pipeline.chat import encode_row
from medcot_pipeline.models.arms import load_arm, without_adapter
from medcot_pipeline.models.load import load_tokenizer, quiet
from medcot_pipeline.settings import PerplexitySettings
from medcot_pipeline.support.errors import MedcotError
from medcot_pipeline.support.progress import Progress, Say
from medcot_pipeline.support.row_files import BrokenRecord, read_json_lines

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
    "bytes": pl.Int64,  # of that text in UTF-8
}
TOKEN_SCHEMA: dict[str, Any] = {"set": pl.String, "row_id": pl.String, "nll": pl.List(pl.Float32)}


@dataclasses.dataclass(frozen=True)
class Passage:
    """A text that has nothing to do with the training: what both models should know alike."""

    id: str
    language: str
    text: str


@dataclasses.dataclass(frozen=True)
class Text:
    """A text to measure: the token ids of its segments, in order. The first token of all is given, not predicted."""

    set: str
    row_id: str
    language: str
    group_id: str
    segments: dict[str, list[int]]

    @property
    def ids(self) -> list[int]:
        """All ids, in order."""
        return list(itertools.chain(*self.segments.values()))


@dataclasses.dataclass(frozen=True)
class Likelihoods:
    """What one model makes of the texts.

    Attributes:
        examples: lines of `EXAMPLE_SCHEMA`.
        tokens: lines of `TOKEN_SCHEMA`: the loss of every token but the first, so that two models can be compared
            token by token.
        left_out: held-out rows that are longer than `max_row_tokens`.
    """

    examples: pl.DataFrame
    tokens: pl.DataFrame
    left_out: int


def measure(
    base: Path,
    adapter: Path | None,
    splits: pl.DataFrame,
    passages: Sequence[Passage],
    settings: PerplexitySettings,
    say: Say,
) -> Likelihoods:
    """Negative log-likelihood of held-out rows, of some training rows and of general passages under one model.

    Rows are measured whole, prompt included, in padded batches of like length; none is packed or cut. Rows above
    `settings.max_row_tokens` are left out, and among the held-out ones counted.

    Args:
        base: folder of the base model.
        adapter: folder of the adapter; None measures the base.
        splits: `row_id`, `split`, `group_id`, `language`, `question`, `reasoning`, `answer`: str.
        passages: general texts.
        settings: how many rows, how long, how many at once.
        say: where progress goes.

    Raises:
        MedcotError: no held-out row fits.
    """
    quiet()
    tokenizer = load_tokenizer(base)
    limit = settings.max_row_tokens
    held_out = list(encode_split(tokenizer, splits, "test"))
    fitting = [text for text in held_out if len(text.ids) <= limit]
    if not fitting:
        raise MedcotError(
            f"No held-out row has at most {limit:,} tokens ({len(held_out):,} are longer).",
            "Raise MEDCOT_PERPLEXITY__MAX_ROW_TOKENS, or give more rows.",
        )
    trained = (text for text in encode_split(tokenizer, splits, "train") if len(text.ids) <= limit)
    texts = [
        *fitting[: settings.max_rows],
        *itertools.islice(trained, settings.train_rows),
        *(encode_passage(tokenizer, passage) for passage in passages),
    ]
    examples, tokens = measure_texts(load_arm(base, adapter), tokenizer, texts, settings.batch_size, say)
    return Likelihoods(examples, tokens, len(held_out) - len(fitting))


def encode_split(tokenizer: Any, splits: pl.DataFrame, split: str) -> Iterator[Text]:
    """Rows of a split in the order of their id, as training sees them."""
    for row in splits.filter(split=split).sort("row_id").iter_rows(named=True):
        encoded = encode_row(tokenizer, row["question"], row["reasoning"], row["answer"])
        segments = {"prompt": encoded.prompt, "reasoning": encoded.reasoning, "answer": encoded.answer}
        yield Text(split, row["row_id"], row["language"], row["group_id"], segments)


def encode_passage(tokenizer: Any, passage: Passage) -> Text:
    """A passage behind the token that texts begin with: the begin token, or the end token where there is none."""
    first = tokenizer.eos_token_id if tokenizer.bos_token_id is None else tokenizer.bos_token_id
    segments = {"prompt": [first], "text": tokenizer.encode(passage.text, add_special_tokens=False)}
    return Text("general", passage.id, passage.language, passage.id, segments)


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
            records += _segments(text, own, tokenizer)
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


def _segments(text: Text, losses: Any, tokenizer: Any) -> Iterator[dict[str, Any]]:
    """One record per segment; `losses` begins with the second token. Added tokens, such as `</think>`, are marks."""
    marks = tokenizer.added_tokens_decoder
    start = 0
    for segment, ids in text.segments.items():
        if start == 0:
            ids, start = ids[1:], 1
        nll = losses[start - 1 : start - 1 + len(ids)].tolist()
        start += len(ids)
        if not ids:
            continue
        kept = [token for token in ids if token not in marks]
        yield {
            "set": text.set,
            "row_id": text.row_id,
            "language": text.language,
            "group_id": text.group_id,
            "segment": segment,
            "nll": sum(nll),
            "tokens": len(ids),
            "text_nll": sum(loss for loss, token in zip(nll, ids, strict=True) if token not in marks),
            "bytes": len(tokenizer.decode(kept).encode("utf-8")),
        }


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
            raise MedcotError(f"{path}, {where}: the id {passage.id} stands twice.", "Give it another id.")
        seen.add(passage.id)
        passages.append(passage)
    return passages
