"""What a table of likelihoods amounts to: perplexities by several definitions, with intervals.

Belongs here: definitions over the lines of `perplexity.EXAMPLE_SCHEMA`.
Does not: measuring (measure.py), resampling (evaluation/statistics/intervals.py).

Perplexity is exp(sum of nll / sum of tokens). The headline counts the completion: reasoning, `</think>`, answer and end
token; the prompt is given. Intervals resample groups of near-duplicate rows, both arms of a row together.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from medcot_pipeline.evaluation.statistics.intervals import bootstrap_perplexity_gap, paired_bootstrap_perplexity
from medcot_pipeline.records.arms import ARMS
from medcot_pipeline.settings import PerplexitySettings

COMPLETION = ("reasoning", "answer")
TRAINER_BATCH = 8
"""The evaluation batch that transformers' Trainer takes unless told otherwise."""
DEFINITIONS: Mapping[str, str] = {
    "full_text": "prompt and completion together",
    "macro": "completion, mean over rows instead of tokens",
    "trainer_style": "completion, mean of batches of 8 (exp of the Trainer's eval_loss)",
}


def perplexity_figures(examples: pl.DataFrame, settings: PerplexitySettings) -> dict[str, Any]:
    """Every figure of the report's perplexity section.

    Returns:
        `rows`, `groups` (held-out); `base`, `tuned`, `ratio` (headline) with `value`, `low`, `high`; `segments`, the
        same by segment; `bits_per_byte` by arm; `share_improved`; `definitions`, values by arm; `general`, by language
        and together, or None without passages: a ratio above 1 is what tuning forgot; `overfitting`, held-out over
        training perplexity by arm, or None without training rows; `examples`, one line per held-out row.
    """
    held_out = examples.filter(set="test")
    rows = by_row(held_out)
    general = examples.filter(set="general")
    return {
        "rows": rows.height,
        "groups": rows["group_id"].n_unique(),
        **_compare(rows, settings),
        "segments": {name: _compare(by_row(held_out, [name]), settings) for name in COMPLETION},
        "bits_per_byte": _bits_per_byte(rows, settings),
        "share_improved": (rows["tuned_nll"] < rows["base_nll"]).mean(),
        "definitions": definitions(held_out),
        "general": _general(general, settings) if general.height else None,
        "overfitting": _overfitting(by_row(examples.filter(set="train")), rows, settings),
        "examples": rows.select("row_id", "language", "base_nll", "tuned_nll", "tokens").to_dicts(),
    }


def incumbent_figures(
    examples: pl.DataFrame, incumbent: pl.DataFrame, settings: PerplexitySettings
) -> dict[str, dict[str, float]]:
    """The headline of the same held-out rows against the incumbent: `incumbent`, `tuned` and `ratio`.

    Args:
        examples: lines of both arms.
        incumbent: the incumbent's lines of `EXAMPLE_SCHEMA`.
        settings: resamples and seed.
    """
    tuned = examples.filter(set="test", arm="tuned")
    own = incumbent.filter(set="test").with_columns(arm=pl.lit("base")).select(tuned.columns)
    compared = _compare(by_row(pl.concat([tuned, own])), settings)
    return {"incumbent": compared["base"], "tuned": compared["tuned"], "ratio": compared["ratio"]}


def definition_rows(figures: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The figures as a table: `definition`, and `base` and `tuned` with `value` and, where there are, `low`, `high`."""
    of_arms = {
        "completion (headline)": figures,
        **{f"{name} only": values for name, values in figures["segments"].items()},
        "completion, bits per byte": figures["bits_per_byte"],
        **{DEFINITIONS[name]: _as_values(values) for name, values in figures["definitions"].items()},
        **({"general passages (forgetting)": figures["general"]} if figures["general"] else {}),
        **({"held-out over training (overfitting)": figures["overfitting"]} if figures["overfitting"] else {}),
    }
    return [{"definition": name, **{arm: values[arm] for arm in ARMS}} for name, values in of_arms.items()]


def _as_values(by_arm: Mapping[str, float]) -> dict[str, dict[str, float]]:
    return {arm: {"value": value} for arm, value in by_arm.items()}


def by_row(examples: pl.DataFrame, segments: Sequence[str] = COMPLETION) -> pl.DataFrame:
    """One line per row over some segments, by row_id.

    Columns: row_id, language, group_id, tokens, bytes, base_nll, tuned_nll, base_text_nll, tuned_text_nll (nats).
    """
    of_row = ["row_id", "language", "group_id"]
    totals = (
        examples.filter(pl.col("segment").is_in(segments))
        .group_by(*of_row, "arm")
        .agg(pl.col("nll", "tokens", "text_nll", "bytes").sum())
    )
    base = totals.filter(arm="base").rename({"nll": "base_nll", "text_nll": "base_text_nll"}).drop("arm")
    tuned = totals.filter(arm="tuned").select("row_id", tuned_nll="nll", tuned_text_nll="text_nll")
    return base.join(tuned, on="row_id").sort("row_id")


def definitions(held_out: pl.DataFrame) -> dict[str, dict[str, float]]:
    """The same rows by other definitions that go by the name of perplexity, by arm.

    `full_text` scores the prompt too. `macro` is exp of the rows' mean of nll per token, in which short rows weigh as
    much as long ones. `trainer_style` is exp(eval_loss) of transformers' Trainer, which averages the means of batches:
    its value depends on the batch size, here 8 rows in the order of their id.
    """
    rows = by_row(held_out)
    batches = rows.with_columns(batch=pl.int_range(pl.len()) // TRAINER_BATCH)
    whole = by_row(held_out, ["prompt", *COMPLETION])

    def value(arm: str) -> dict[str, float]:
        nll, tokens = pl.col(f"{arm}_nll"), pl.col("tokens")
        means = batches.group_by("batch").agg(mean=nll.sum() / tokens.sum(), rows=pl.len())
        logs = {
            "full_text": whole.select(nll.sum() / tokens.sum()).item(),
            "macro": rows.select((nll / tokens).mean()).item(),
            "trainer_style": means.select((pl.col("mean") * pl.col("rows")).sum() / pl.col("rows").sum()).item(),
        }
        return {name: math.exp(log) for name, log in logs.items()}

    by_arm = {arm: value(arm) for arm in ARMS}
    return {name: {arm: by_arm[arm][name] for arm in ARMS} for name in by_arm["base"]}


def _compare(rows: pl.DataFrame, settings: PerplexitySettings, *, of: str = "nll", per: str = "tokens") -> Any:
    """Both arms and their ratio, each with its interval over groups of rows."""
    groups = _groups(rows)
    base, tuned, sizes = (groups[name].to_list() for name in (f"base_{of}", f"tuned_{of}", per))
    return paired_bootstrap_perplexity(base, tuned, sizes, settings.bootstrap_resamples, settings.seed)


def _groups(rows: pl.DataFrame) -> pl.DataFrame:
    """Sums of near-duplicate rows: they are no independent evidence, and so are resampled together."""
    return rows.group_by("group_id").agg(pl.col(pl.Int64, pl.Float64).sum()).sort("group_id")


def _bits_per_byte(rows: pl.DataFrame, settings: PerplexitySettings) -> dict[str, dict[str, float]]:
    """Sum of nll / (ln 2 x sum of bytes) over tokens that are text: comparable between tokenizers."""
    per_byte = _compare(rows, settings, of="text_nll", per="bytes")
    return {arm: {name: math.log2(value) for name, value in per_byte[arm].items()} for arm in ARMS}


def _general(general: pl.DataFrame, settings: PerplexitySettings) -> dict[str, Any]:
    rows = by_row(general, ["text"])
    languages = {
        str(language): _compare(rows.filter(language=language), settings)
        for language in rows["language"].unique().sort()
    }
    return {"passages": rows.height, **_compare(rows, settings), "languages": languages}


def _overfitting(trained: pl.DataFrame, held_out: pl.DataFrame, settings: PerplexitySettings) -> dict[str, Any] | None:
    """Held-out over training perplexity; the base arm, which saw neither, says how much harder the held-out rows are.

    The training rows are a sample of the training split; a run with a token budget has not seen all of it.
    """
    if trained.is_empty():
        return None
    unseen, seen = _groups(held_out), _groups(trained)
    figures: dict[str, Any] = {"train_rows": trained.height}
    for arm in ARMS:
        figures[arm] = bootstrap_perplexity_gap(
            unseen[f"{arm}_nll"].to_list(),
            unseen["tokens"].to_list(),
            seen[f"{arm}_nll"].to_list(),
            seen["tokens"].to_list(),
            settings.bootstrap_resamples,
            settings.seed,
        )
    return figures
