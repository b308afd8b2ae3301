"""Measuring one model, in the child process.

Belongs here: what it is told, which texts it measures, and what it leaves in the artifact's folder.
Does not belong here: measuring (measure.py), encoding (texts.py), which rows an adapter has learned from
(training/learned.py).
"""

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl
from pydantic import BaseModel

from medcot_pipeline.artifacts import FileHashes
from medcot_pipeline.evaluation.perplexity.measure import MeasuredTokens, measure_texts, tokens_of
from medcot_pipeline.evaluation.perplexity.packing.likelihood import LineBudget
from medcot_pipeline.evaluation.perplexity.packing.plan import PerplexityPlan, may_pack, measured_with, plan_perplexity
from medcot_pipeline.evaluation.perplexity.texts import (
    Text,
    by_language,
    encode_passage,
    encode_rows,
    held_out_texts,
    read_passages,
)
from medcot_pipeline.models.arms import load_arm
from medcot_pipeline.models.base import open_base_model
from medcot_pipeline.models.devices import fix_threads, hold_to, this_device
from medcot_pipeline.models.load import load_tokenizer, quiet
from medcot_pipeline.models.shape import ModelShape
from medcot_pipeline.records.perplexity import TrainingRows
from medcot_pipeline.settings import LocalEngineSettings, PerplexitySettings
from medcot_pipeline.support.json_files import write_model
from medcot_pipeline.support.progress import Say
from medcot_pipeline.support.table_files import read_parquet
from medcot_pipeline.training.learned import learned_rows
from medcot_pipeline.training.rows import in_order_of_choice

EXAMPLES = "examples.parquet"
TOKENS = "tokens.parquet"
BASE_ON_TRAINING = "base_on_training_rows.parquet"
"""Lines of `EXAMPLE_SCHEMA`: the training rows under the base without the adapter that has learned from them."""
TRAINING = "training_rows.json"


class MeasuredAdapter(BaseModel):
    """An adapter and what it was trained on.

    Attributes:
        folder: of the adapter.
        settings: of its manifest, by dotted name.
        sft: folder of the SFT data set that it was trained on; None where that is not here any more.
    """

    folder: Path
    settings: dict[str, Any]
    sft: Path | None


class MeasurePerplexity(BaseModel):
    """Which model is measured, on which texts, within which memory; no adapter means the base."""

    settings: PerplexitySettings
    inference: LocalEngineSettings
    base_model: Path
    adapter: MeasuredAdapter | None
    hashes: Path
    splits: Path
    passages: Path
    out: Path


def measure_perplexity(arguments: MeasurePerplexity, say: Say) -> dict[str, Any]:
    """Measure one model on held-out rows and general passages, and an adapter on rows that it has learned from too.

    Those rows are the adapter's own, so the base is measured on them here as well: it is the same model with the
    adapter switched off.

    Returns:
        `left_out`: held-out rows that are too long, by language, as of `RowsOf`; `made_with`, as of `measured_with`.

    Raises:
        MedcotError: no held-out row is short enough, or the longest does not fit the memory.
    """
    quiet()
    fix_threads()
    settings, adapter, out = arguments.settings, arguments.adapter, arguments.out
    base = open_base_model(arguments.base_model, FileHashes(arguments.hashes)).folder
    tokenizer = load_tokenizer(base)
    held_out, left_out = held_out_texts(tokenizer, read_parquet(arguments.splits), settings.max_row_tokens)
    general = (encode_passage(tokenizer, passage) for passage in read_passages(arguments.passages))
    texts = [*held_out[: settings.max_rows], *general]
    training = _training_texts(tokenizer, adapter, settings, out) if adapter else []
    plan = _planned(base, texts, settings, arguments.inference)
    total = tokens_of(texts) + 2 * tokens_of(training)
    say(plan.line(total))
    model = load_arm(base, adapter.folder if adapter else None, unpack=plan.unpack)
    budget, measured = LineBudget(plan.line_tokens, say), MeasuredTokens(total, say)
    # Both models measure these in the same lines: products round by their size, and an adapter without effect is to
    # differ by 0.
    examples, tokens = measure_texts(model, texts, budget, measured)
    tokens.write_parquet(out / TOKENS)
    if adapter:
        tuned, _ = measure_texts(model, training, budget, measured)
        examples = pl.concat([examples, tuned])
        with model.disable_adapter():
            alone, _ = measure_texts(model, training, budget, measured)
        alone.write_parquet(out / BASE_ON_TRAINING)
    examples.write_parquet(out / EXAMPLES)
    return {
        "left_out": {name: each.model_dump() for name, each in left_out.items()},
        "made_with": measured_with(model, plan, budget),
    }


def _planned(
    base: Path, texts: Sequence[Text], settings: PerplexitySettings, inference: LocalEngineSettings
) -> PerplexityPlan:
    """The plan for this device, which is then held to its limit.

    Training rows, which one arm alone measures, are no longer than `max_row_tokens`; passages may be.
    """
    device = this_device(inference.max_gpu_memory_gb)
    longest = max(settings.max_row_tokens, *(len(text.ids) for text in texts))
    shape = ModelShape.of_folder(base)
    plan = plan_perplexity(shape, device, longest, packs=may_pack(base, device))
    hold_to(plan.limit_bytes)
    return plan


def _training_texts(tokenizer: Any, adapter: MeasuredAdapter, settings: PerplexitySettings, out: Path) -> list[Text]:
    """Rows drawn by the seed from those that an adapter has learned from.

    How many there are, and how many were too long to be trained on, is written into `out`.
    """
    texts: list[Text] = []
    told = TrainingRows(learned=None, left_out=None)
    sft = read_parquet(adapter.sft / "rows.parquet") if adapter.sft else None
    learned = None if sft is None else learned_rows(adapter.folder, adapter.settings, sft, tokenizer)
    if adapter.sft and sft is not None and learned:
        too_long = read_parquet(adapter.sft / "too_long.parquet")["language"].to_list()
        told = TrainingRows(
            learned=len(learned.row_ids),
            left_out=by_language(
                [*too_long, *_ordered(sft, learned.too_long)["language"]], [*too_long, *sft["language"]]
            ),
        )
        drawn = in_order_of_choice(({"row_id": each} for each in learned.row_ids), settings.seed)
        own = encode_rows(tokenizer, _ordered(sft, [each["row_id"] for each in drawn]), "train")
        fitting = (text for text in own if len(text.ids) <= settings.max_row_tokens)
        texts = list(itertools.islice(fitting, settings.train_rows))
    write_model(out / TRAINING, told)
    return texts


def _ordered(rows: pl.DataFrame, ids: Sequence[str]) -> pl.DataFrame:
    """The rows of these ids, in the order of the ids."""
    return pl.DataFrame({"row_id": ids}, schema={"row_id": pl.String}).join(rows, on="row_id", maintain_order="left")
