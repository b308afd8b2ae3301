"""Lines of `EXAMPLE_SCHEMA` by row and by group of near-duplicate rows, with figures over the groups.

Belongs here: sums, and a ratio of sums with its interval.
Does not belong here: which figures there are (figures.py), the interval itself (evaluation/statistics/perplexity.py).
"""

import math
from collections.abc import Sequence

import polars as pl

from medcot_pipeline.evaluation.statistics.perplexity import Ratio, paired_perplexity, ratio_of_sums
from medcot_pipeline.records.arms import Other
from medcot_pipeline.records.figures import Compared, Estimate, Interval

COMPLETION = ("reasoning", "answer")


def by_row(examples: pl.DataFrame, segments: Sequence[str] = COMPLETION, *, against: Other = "base") -> pl.DataFrame:
    """One line per row over some segments, by row_id.

    Columns: row_id, language, group_id, tokens, text_tokens, bytes, base_nll, tuned_nll, base_text_nll, tuned_text_nll
    (nats); with the incumbent's name in the place of the base's where tuned is held against it.
    """
    of_row = ["row_id", "language", "group_id"]
    totals = (
        examples.filter(pl.col("segment").is_in(segments))
        .group_by(*of_row, "arm")
        .agg(pl.col("nll", "tokens", "text_nll", "text_tokens", "bytes").sum())
    )
    names = {"nll": f"{against}_nll", "text_nll": f"{against}_text_nll"}
    other = totals.filter(arm=against).rename(names).drop("arm")
    tuned = totals.filter(arm="tuned").select("row_id", tuned_nll="nll", tuned_text_nll="text_nll")
    return other.join(tuned, on="row_id").sort("row_id")


def held_out_numbers(examples: pl.DataFrame) -> dict[str, float]:
    """Of one model: held-out rows, tokens of their completions, and the perplexity of these.

    Args:
        examples: lines of `EXAMPLE_SCHEMA`.
    """
    held_out = examples.filter(pl.col("set") == "test", pl.col("segment").is_in(COMPLETION))
    tokens = int(held_out["tokens"].sum())
    nats = float(held_out["nll"].sum())
    return {"rows": held_out["row_id"].n_unique(), "tokens": tokens, "perplexity": math.exp(nats / tokens)}


def by_group(rows: pl.DataFrame) -> pl.DataFrame:
    """Sums of near-duplicate rows, which are no independent evidence and count as one."""
    return rows.group_by("group_id").agg(pl.col(pl.Int64, pl.Float64).sum()).sort("group_id")


def compared(rows: pl.DataFrame) -> Compared:
    """Perplexity of both arms and their ratio over rows as of `by_row`."""
    base, tuned, ratio = paired(rows, "base_nll", "tuned_nll", "tokens")
    return Compared(base=base, tuned=tuned, ratio=ratio)


def compared_text(rows: pl.DataFrame) -> Compared:
    """The same over tokens that are text, without marks."""
    base, tuned, ratio = paired(rows, "base_text_nll", "tuned_text_nll", "text_tokens")
    return Compared(base=base, tuned=tuned, ratio=ratio)


def paired(rows: pl.DataFrame, other: str, tuned: str, per: str) -> tuple[Interval, Interval, Interval]:
    """Perplexities out of columns of nats and of tokens, and tuned over the other."""
    groups = by_group(rows)
    return paired_perplexity(*(groups[name].to_list() for name in (other, tuned, per)))


def ratio(rows: pl.DataFrame, part: pl.Expr, whole: pl.Expr) -> Ratio:
    """A ratio of sums over the groups of rows."""
    groups = by_group(rows).select(part=part.cast(pl.Float64), whole=whole.cast(pl.Float64))
    return ratio_of_sums(groups["part"].to_list(), groups["whole"].to_list())


def share(found: Ratio) -> Estimate:
    """A share with its interval, which ends at 0 and 1."""
    interval = found.interval()
    if interval.low is None or interval.high is None:
        return Estimate(value=interval.value)
    return Estimate(value=interval.value, low=max(0.0, interval.low), high=min(1.0, interval.high))
