"""Two measures of the same texts side by side.

Belongs here: joining them, and how far they lie apart.
Does not belong here: measuring (measure.py), perplexities (figures.py).
"""

import polars as pl


def both_arms(base: pl.DataFrame, tuned: pl.DataFrame) -> pl.DataFrame:
    """Lines of `EXAMPLE_SCHEMA` of both models, with the column `arm`: `base` or `tuned`."""
    both = [examples.with_columns(arm=pl.lit(arm)) for arm, examples in (("base", base), ("tuned", tuned))]
    return pl.concat(both).sort("set", "row_id", "arm", "segment")


def largest_difference(base: pl.DataFrame, tuned: pl.DataFrame) -> float:
    """Largest difference in the log-likelihood of any token, nats; 0 means that the adapter changes nothing.

    Args:
        base: lines of `TOKEN_SCHEMA`.
        tuned: the same texts under the other model.
    """
    joined = base.join(tuned, on=["set", "row_id"], suffix="_tuned")
    losses = joined.select(pl.col("nll", "nll_tuned").cast(pl.List(pl.Float64))).explode("nll", "nll_tuned")
    largest = losses.select((pl.col("nll") - pl.col("nll_tuned")).abs().max()).item()
    return float(largest or 0.0)
