"""What beside the key makes two rows the same question: the options, and letters whose case is a meaning.

Belongs here: the two columns.
Does not belong here: keys (corpus/normalize/text.py), telling stem from options (corpus/normalize/options.py),
decisions (duplicates.py).
"""

import polars as pl

from medcot_pipeline.corpus.dedup.rules.guards import case_signature
from medcot_pipeline.corpus.normalize.options import split_options
from medcot_pipeline.corpus.normalize.text import fold


def with_options_and_case(rows: pl.DataFrame) -> pl.DataFrame:
    """Add `options` (the folded options in alphabetical order, empty for an open question) and `cased`.

    The key is the stem's, and "下列正确的是" is the stem of many questions: rows of one key are one question only where
    the options are the same too, in whatever order.
    """
    marked = pl.col("question").str.contains(r"A ?[.．、:：)） ]").fill_null(False)
    return rows.with_columns(
        pl.when(marked)
        .then(pl.col("question").map_elements(_folded_options, return_dtype=pl.String, skip_nulls=True))
        .otherwise(pl.lit(""))
        .alias("options"),
        case_signature(pl.col("question")).alias("cased"),
    )


def _folded_options(question: str) -> str:
    return "\n".join(sorted(fold(option) for option in split_options(question).options.values()))
