"""Rows as normalising leaves them, by their questions.

Belongs here: a table of such rows.
Does not belong here: reading or normalising any.
"""

from typing import Any

import polars as pl

from medcot_pipeline.corpus.normalize.options import split_options
from medcot_pipeline.corpus.normalize.text import comparison_key

LONG = "男，{n}岁，反复咳嗽咳痰十余年，近来活动后气促明显加重，双肺可闻及散在湿啰音，下肢轻度水肿，最可能的诊断是什么？"


def rows(*questions: str | dict[str, Any]) -> pl.DataFrame:
    """Rows r00, r01, ... of these questions; a dictionary sets other fields too."""
    records = [question if isinstance(question, dict) else {"question": question} for question in questions]
    return pl.DataFrame(
        [
            {
                "row_id": f"r{number:05d}",
                "reasoning": "",
                "answer": "",
                "language": "zh",
                "flags": [],
                "key": comparison_key(split_options(record["question"]).stem),
            }
            | record
            for number, record in enumerate(records)
        ],
        schema={
            **dict.fromkeys(["row_id", "question", "reasoning", "answer", "key", "language"], pl.String),
            "flags": pl.List(pl.String),
        },
    )
