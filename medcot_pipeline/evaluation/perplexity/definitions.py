"""Other definitions that go by the name of perplexity, over the same held-out rows.

Belongs here: what each of them computes.
Does not belong here: the headline (figures.py), the table of all (table.py).
"""

import math

import polars as pl

from medcot_pipeline.evaluation.perplexity.rows import COMPLETION, by_row, compared
from medcot_pipeline.records.arms import ARMS
from medcot_pipeline.records.figures import ByArm, Compared, Point
from medcot_pipeline.records.perplexity import Definitions

TRAINER_BATCH = 8
"""The evaluation batch that transformers' Trainer takes unless told otherwise."""


def definitions(held_out: pl.DataFrame) -> Definitions:
    """The same rows by other definitions, by arm.

    `full_text` scores the prompt too. `macro` is exp of the rows' mean of nll per token, in which short rows weigh as
    much as long ones. `trainer_style` is exp(eval_loss) of transformers' Trainer, which averages the means of batches:
    its value depends on the batch size, here 8 rows in the order of their id, and so it has no interval.

    Args:
        held_out: lines of `EXAMPLE_SCHEMA` with the column `arm`.
    """
    rows = by_row(held_out)
    return Definitions(
        full_text=compared(by_row(held_out, ["prompt", *COMPLETION])),
        macro=_macro(rows),
        trainer_style=ByArm[Point](**{arm: Point(value=_trainer_style(rows, arm)) for arm in ARMS}),
    )


def _macro(rows: pl.DataFrame) -> Compared:
    means = [(pl.col(f"{arm}_nll") / pl.col("tokens")).alias(f"{arm}_nll") for arm in ARMS]
    return compared(rows.with_columns(*means, tokens=pl.lit(1, dtype=pl.Int64)))


def _trainer_style(rows: pl.DataFrame, arm: str) -> float:
    batches = rows.with_columns(batch=pl.int_range(pl.len()) // TRAINER_BATCH)
    means = batches.group_by("batch").agg(mean=pl.col(f"{arm}_nll").sum() / pl.col("tokens").sum(), rows=pl.len())
    return math.exp(means.select((pl.col("mean") * pl.col("rows")).sum() / pl.col("rows").sum()).item())
