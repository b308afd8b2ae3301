"""The training rows as files that other tools read.

Belongs here: `med_o1.json`, its registration for LLaMA-Factory, and token lengths.
Does not belong here: which rows are in the split (corpus/splits/assign.py).
"""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl

from medcot_pipeline.chat import encode_row, render_output
from medcot_pipeline.chat.r1_tokenizer import r1_distill_tokenizer
from medcot_pipeline.settings import SftSettings
from medcot_pipeline.support.json_files import write_json

DATASET_NAME = "med_o1"
DATASET_INFO = {
    DATASET_NAME: {
        "file_name": f"{DATASET_NAME}.json",
        "columns": {"prompt": "input", "response": "output"},
    }
}


@dataclasses.dataclass(frozen=True)
class SftDataset:
    """Rows to train on, with token counts by segment, and those that are longer than the maximum."""

    rows: pl.DataFrame
    too_long: pl.DataFrame

    def write(self, folder: Path) -> None:
        """Write `med_o1.json`, `dataset_info.json`, and both frames as Parquet."""
        records = [
            {"input": question, "output": render_output(reasoning, answer)}
            for question, reasoning, answer in self.rows.select("question", "reasoning", "answer").iter_rows()
        ]
        write_json(folder / f"{DATASET_NAME}.json", records)
        write_json(folder / "dataset_info.json", DATASET_INFO)
        self.rows.write_parquet(folder / "rows.parquet")
        self.too_long.write_parquet(folder / "too_long.parquet")


def token_lengths(rows: pl.DataFrame, progress: Callable[[int, int], None]) -> pl.DataFrame:
    """Add `tokens_question`, `tokens_reasoning`, `tokens_answer` and `tokens` (i64), by the R1-distill tokenizer.

    `tokens_question` counts the whole prompt. Lengths by this tokenizer describe the data; a base model with another
    tokenizer counts its own before it trains.
    """
    tokenizer = r1_distill_tokenizer()
    counts = []
    for done, row in enumerate(rows.select("question", "reasoning", "answer").iter_rows(), start=1):
        encoded = encode_row(tokenizer, *row)
        counts.append((len(encoded.prompt), len(encoded.reasoning), len(encoded.answer)))
        progress(done, rows.height)
    names = ("tokens_question", "tokens_reasoning", "tokens_answer")
    lengths = pl.DataFrame(counts, schema=dict.fromkeys(names, pl.Int64), orient="row")
    return rows.hstack(lengths).with_columns(tokens=pl.sum_horizontal(names))


def build_sft_dataset(
    training_rows: pl.DataFrame, settings: SftSettings, progress: Callable[[int, int], None]
) -> SftDataset:
    """Rows of the training split, those above `settings.max_tokens` apart: a cut row would lose its answer."""
    rows = token_lengths(training_rows, progress)
    fits = rows["tokens"] <= settings.max_tokens
    return SftDataset(rows.filter(fits), rows.filter(~fits))


def format_problems(records: list[dict[str, Any]], rows: pl.DataFrame) -> list[str]:
    """Rows of a written `med_o1.json` that are not exactly what the split holds; empty where all are."""
    problems = []
    if len(records) != rows.height:
        problems.append(f"{len(records):,} records for {rows.height:,} rows")
    for record, row in zip(records, rows.iter_rows(named=True), strict=False):
        expected = {"input": row["question"], "output": render_output(row["reasoning"], row["answer"])}
        if record != expected or record["output"].count("</think>") != 1:
            problems.append(f"row {row['row_id']} does not have the form <think> reasoning </think> answer")
    return problems
