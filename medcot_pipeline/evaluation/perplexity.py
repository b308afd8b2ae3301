"""Negative log-likelihood of held-out rows under both arms, by segment.

Belongs here: the definition of perplexity, and measuring it from one loaded model.
Does not: intervals (statistics.py), which rows are held out (corpus/splits.py).
"""

import dataclasses
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl

from medcot_pipeline.chat import EncodedRow, encode_row
from medcot_pipeline.errors import MedcotError
from medcot_pipeline.evaluation.records import ARMS, Arm
from medcot_pipeline.models.load import as_arm, load_arms, load_tokenizer, quiet
from medcot_pipeline.progress import Progress, Say
from medcot_pipeline.settings import PerplexitySettings

SEGMENTS = ("reasoning", "answer")
LOGIT_CHUNK = 256
"""Positions whose logits stand in memory together: 256 x 152,064 x 4 bytes = 149 MiB."""

EXAMPLE_SCHEMA = {
    "row_id": pl.String,
    "language": pl.String,
    "arm": pl.String,
    "segment": pl.String,
    "nll": pl.Float64,
    "tokens": pl.Int64,
    "bytes": pl.Int64,
}


@dataclasses.dataclass(frozen=True)
class HeldOutRow:
    """A held-out row with its tokens and the UTF-8 bytes of its segments (special tokens not counted)."""

    row_id: str
    language: str
    encoded: EncodedRow
    segment_bytes: dict[str, int]


@dataclasses.dataclass(frozen=True)
class Likelihoods:
    """One line per row, arm and segment (`EXAMPLE_SCHEMA`; nll in nats), and what was left out."""

    examples: pl.DataFrame
    left_out: int
    max_logit_difference: float


def measure(base: Path, adapter: Path, held_out: pl.DataFrame, settings: PerplexitySettings, say: Say) -> Likelihoods:
    """Negative log-likelihood of the completions of held-out rows, with the adapter off and on.

    The completion is everything after the prompt: reasoning, `</think>`, answer, end token. Rows are measured in
    padded batches of like length; no row is packed or cut, longer ones are left out and counted.

    Raises:
        MedcotError: no held-out row fits.
    """
    quiet()
    tokenizer = load_tokenizer(base)
    rows, left_out = choose_held_out(tokenizer, held_out, settings)
    model = load_arms(base, adapter)
    progress = Progress("perplexity", say)
    records: list[dict[str, Any]] = []
    batches = list(_batches(rows, settings.batch_size))
    total = len(rows) * len(ARMS)
    for batch in batches:
        for arm in ARMS:
            with as_arm(model, arm) as arm_model:
                records += _batch_records(arm_model, arm, batch, tokenizer.pad_token_id)
            progress(len(records) // len(SEGMENTS), total)
    difference = max_logit_difference(model, batches[0][:1], tokenizer.pad_token_id)
    examples = pl.DataFrame(records, schema=EXAMPLE_SCHEMA).sort("row_id", "arm", "segment")
    return Likelihoods(examples, left_out, difference)


def choose_held_out(
    tokenizer: Any, held_out: pl.DataFrame, settings: PerplexitySettings
) -> tuple[list[HeldOutRow], int]:
    """Rows to measure, in the order of their id, and how many were left out as too long."""
    rows: list[HeldOutRow] = []
    too_long = 0
    for record in held_out.sort("row_id").iter_rows(named=True):
        encoded = encode_row(tokenizer, record["question"], record["reasoning"], record["answer"])
        if len(encoded.input_ids) > settings.max_row_tokens:
            too_long += 1
        elif settings.max_rows is None or len(rows) < settings.max_rows:
            sizes = {name: len(record[name].strip().encode("utf-8")) for name in SEGMENTS}
            rows.append(HeldOutRow(record["row_id"], record["language"], encoded, sizes))
    if not rows:
        raise MedcotError(
            f"No held-out row has at most {settings.max_row_tokens:,} tokens ({too_long:,} are longer).",
            "Raise MEDCOT_PERPLEXITY__MAX_ROW_TOKENS, or give more rows.",
        )
    return rows, too_long


def _batches(rows: list[HeldOutRow], size: int) -> Iterator[list[HeldOutRow]]:
    by_length = sorted(rows, key=lambda row: (len(row.encoded.input_ids), row.row_id))
    for start in range(0, len(by_length), size):
        yield by_length[start : start + size]


def token_nll(model: Any, rows: list[EncodedRow], pad_token_id: int) -> list[Any]:
    """Negative log-likelihood of every completion token, a float64 tensor [completion tokens] per row, in nats.

    The position before a token predicts it, so the last prompt token predicts the first of the completion.
    """
    import torch

    width = max(len(row.input_ids) for row in rows)
    device = model.device
    ids = torch.tensor([row.input_ids + [pad_token_id] * (width - len(row.input_ids)) for row in rows], device=device)
    mask = torch.tensor([[1] * len(row.input_ids) + [0] * (width - len(row.input_ids)) for row in rows], device=device)
    decoder = model.get_base_model()
    result = []
    with torch.no_grad():
        hidden = decoder.model(input_ids=ids, attention_mask=mask, use_cache=False).last_hidden_state
        for at, row in enumerate(rows):
            start, end = len(row.prompt), len(row.input_ids)
            pieces = []
            for first in range(start, end, LOGIT_CHUNK):
                last = min(first + LOGIT_CHUNK, end)
                logits = decoder.lm_head(hidden[at, first - 1 : last - 1]).float()
                pieces.append(torch.nn.functional.cross_entropy(logits, ids[at, first:last], reduction="none"))
            result.append(torch.cat(pieces).double().cpu())
    return result


def _batch_records(model: Any, arm: Arm, batch: list[HeldOutRow], pad_token_id: int) -> list[dict[str, Any]]:
    records = []
    for row, losses in zip(batch, token_nll(model, [row.encoded for row in batch], pad_token_id), strict=True):
        middle = len(row.encoded.reasoning)
        for segment, part in zip(SEGMENTS, (losses[:middle], losses[middle:]), strict=True):
            records.append(
                {
                    "row_id": row.row_id,
                    "language": row.language,
                    "arm": arm,
                    "segment": segment,
                    "nll": float(part.sum()),
                    "tokens": len(part),
                    "bytes": row.segment_bytes[segment],
                }
            )
    return records


def max_logit_difference(model: Any, batch: list[HeldOutRow], pad_token_id: int) -> float:
    """Largest difference in a completion token's log-likelihood between the arms; 0 means an adapter without effect."""
    both = []
    for arm in ARMS:
        with as_arm(model, arm) as arm_model:
            both.append(token_nll(arm_model, [row.encoded for row in batch], pad_token_id))
    return max(float((base - tuned).abs().max()) for base, tuned in zip(*both, strict=True))


def by_row(examples: pl.DataFrame) -> pl.DataFrame:
    """One line per row: row_id, language, tokens, base_nll, tuned_nll (f64, nats over the whole completion)."""
    totals = examples.group_by("row_id", "language", "arm").agg(pl.col("nll").sum(), pl.col("tokens").sum())
    wide = totals.pivot("arm", index=["row_id", "language", "tokens"], values="nll")
    return wide.rename({"base": "base_nll", "tuned": "tuned_nll"}).sort("row_id")


def summarise(examples: pl.DataFrame) -> dict[str, Any]:
    """Figures that need no resampling: perplexity by segment, bits per byte, share of rows improved.

    Perplexity is exp(sum of nll / sum of tokens); bits per byte leave out the tokens that are no text of the row only
    in their bytes, so that they compare arms, not tokenizers.
    """
    segments = {
        segment: {arm: perplexity(examples.filter(segment=segment, arm=arm)) for arm in ARMS} for segment in SEGMENTS
    }
    bits = {
        arm: float(totals["nll"].sum()) / (math.log(2) * int(totals["bytes"].sum()))
        for arm in ARMS
        for totals in [examples.filter(arm=arm)]
    }
    rows = by_row(examples)
    return {
        "rows": rows.height,
        "segments": segments,
        "bits_per_byte": bits,
        "share_improved": (rows["tuned_nll"] < rows["base_nll"]).mean(),
    }


def perplexity(examples: pl.DataFrame) -> float:
    """exp(sum of nll / sum of tokens) of some lines of `EXAMPLE_SCHEMA`."""
    return math.exp(float(examples["nll"].sum()) / int(examples["tokens"].sum()))
