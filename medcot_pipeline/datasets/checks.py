"""What must hold of the training rows before they are published.

Belongs here: one function per check, over the files of the artifact and of its inputs; blocking where the next stage
would be wrong.
Does not belong here: repairing anything.
"""

from pathlib import Path

import polars as pl

from medcot_pipeline.datasets.sft import DATASET_NAME, format_problems
from medcot_pipeline.pipeline.check import Check, Inputs
from medcot_pipeline.support.json_files import read_json
from medcot_pipeline.support.table_files import read_parquet


def _rows(folder: Path) -> pl.DataFrame:
    return read_parquet(folder / "rows.parquet")


def sft_format(folder: Path, inputs: Inputs) -> tuple[bool, str]:
    """Every record is exactly its row in the `<think>` format: no reasoning is lost."""
    problems = format_problems(read_json(folder / f"{DATASET_NAME}.json"), _rows(folder))
    return not problems, f"{len(problems):,} records differ from their rows" + (
        f": {problems[0]}." if problems else "."
    )


def sft_has_training_rows_only(folder: Path, inputs: Inputs) -> tuple[bool, str]:
    """The records are the training split's rows, less those that are too long."""
    split = _rows(inputs["corpus_splits"]).filter(split="train")["row_id"].sort()
    here = pl.concat([_rows(folder)["row_id"], read_parquet(folder / "too_long.parquet")["row_id"]]).sort()
    return here.equals(split), f"{here.len():,} rows for {split.len():,} of the training split."


def few_rows_too_long(folder: Path, inputs: Inputs) -> tuple[bool, str]:
    """At most 2 % of the training rows are longer than the maximum."""
    too_long = read_parquet(folder / "too_long.parquet").height
    share = too_long / max(too_long + _rows(folder).height, 1)
    return share <= 0.02, f"{too_long:,} rows are longer than the maximum ({share:.1%})."


SFT = (
    Check("sft_format", "Does every record have the form <think> reasoning </think> answer?", sft_format),
    Check("training_rows_only", "Do the records match the training split?", sft_has_training_rows_only),
    Check("few_rows_too_long", "Are at most 2 % of the rows too long?", few_rows_too_long, blocking=False),
)
