"""Measuring one model, in the child process.

Belongs here: what it is told, and what it leaves in the artifact's folder.
Does not: measuring (measure.py).
"""

from pathlib import Path
from typing import Any

from pydantic import BaseModel

from medcot_pipeline.artifacts import FileHashes
from medcot_pipeline.evaluation.perplexity.measure import measure, read_passages
from medcot_pipeline.models.arms import made_with
from medcot_pipeline.models.base import open_base_model
from medcot_pipeline.settings import PerplexitySettings
from medcot_pipeline.support.progress import Say
from medcot_pipeline.support.table_files import read_parquet

EXAMPLES = "examples.parquet"
TOKENS = "tokens.parquet"


class MeasurePerplexity(BaseModel):
    """Which model is measured, on which texts; no adapter means the base."""

    settings: PerplexitySettings
    base_model: Path
    adapter: Path | None
    hashes: Path
    splits: Path
    passages: Path
    out: Path


def measure_perplexity(arguments: MeasurePerplexity, say: Say) -> dict[str, Any]:
    """Measure one model on held-out rows, training rows and general passages.

    Returns:
        `left_out`, and `made_with` of models/arms.py.
    """
    base = open_base_model(arguments.base_model, FileHashes(arguments.hashes))
    splits, passages = read_parquet(arguments.splits), read_passages(arguments.passages)
    measured = measure(base.folder, arguments.adapter, splits, passages, arguments.settings, say)
    measured.examples.write_parquet(arguments.out / EXAMPLES)
    measured.tokens.write_parquet(arguments.out / TOKENS)
    made = made_with() | {"batch_size": str(arguments.settings.batch_size)}  # padding rounds otherwise
    return {"left_out": measured.left_out, "made_with": made}
