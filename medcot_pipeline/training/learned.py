"""Which rows a published adapter has learned from.

Belongs here: telling them from what its run recorded, by the functions that the run itself chose its rows with.
Does not belong here: choosing (rows.py), steps (steps/batches.py), measuring overfitting on them
(evaluation/perplexity/).
"""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from medcot_pipeline.support.json_files import read_json
from medcot_pipeline.training.outcome.results import SUMMARY
from medcot_pipeline.training.rows import choose_rows
from medcot_pipeline.training.steps.batches import step_rows


@dataclasses.dataclass(frozen=True)
class LearnedRows:
    """Ids of the rows that the weights of an adapter have met, in the order of choice, and of those too long for it."""

    row_ids: tuple[str, ...]
    too_long: tuple[str, ...]


def learned_rows(adapter: Path, recorded: Mapping[str, Any], sft: pl.DataFrame, tokenizer: Any) -> LearnedRows | None:
    """The rows of the steps up to the checkpoint that was published, of the rows that the run chose.

    A run has a length limit and a token budget, and publishes its best checkpoint, which may stand before its end: rows
    of later steps have left nothing in the adapter.

    Args:
        adapter: its folder.
        recorded: the settings of its manifest, by dotted name.
        sft: `rows.parquet` of the SFT data set that it was trained on.
        tokenizer: of its base model.

    Returns:
        None where the rows that are chosen now are not as many, of as many tokens, as those that the run counted.
    """
    summary = read_json(adapter / SUMMARY)
    longest, seed = recorded["sft.max_tokens"], recorded["training.seed"]
    chosen = choose_rows(
        tokenizer,
        sft,
        max_row_tokens=min(longest, recorded["training.max_row_tokens"] or longest),
        max_tokens=recorded["training.max_train_tokens"],
        seed=seed,
    )
    if (len(chosen.rows), chosen.tokens) != (summary["rows"], summary["tokens"]):
        return None
    left, epoch, met = summary["best_checkpoint_step"] or summary["optimizer_steps"], 0, set[str]()
    while left > 0:
        steps = step_rows(chosen.taken, summary["plan"]["rows_per_step"], seed, epoch)
        met.update(*steps[:left])
        left, epoch = left - len(steps), epoch + 1
    return LearnedRows(tuple(each for each in chosen.taken if each in met), chosen.long)
