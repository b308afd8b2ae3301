"""What a table of likelihoods amounts to: perplexities by several definitions, with intervals.

Belongs here: definitions over the lines of `EXAMPLE_SCHEMA` (measure.py).
Does not: measuring (measure.py), resampling (evaluation/statistics/intervals.py).

Perplexity is exp(sum of nll / sum of tokens). The headline counts the completion: reasoning, `</think>`, answer and end
token; the prompt is given. Intervals resample groups of near-duplicate rows, both arms of a row together.
"""

import math
from collections.abc import Mapping, Sequence

import polars as pl

from medcot_pipeline.evaluation.statistics.intervals import bootstrap_perplexity_gap, paired_bootstrap_perplexity
from medcot_pipeline.records.arms import ARMS, Other
from medcot_pipeline.records.figures import ByArm, Compared, Interval, Point
from medcot_pipeline.records.perplexity import (
    AgainstIncumbent,
    DefinitionRow,
    Definitions,
    GeneralPerplexity,
    Overfitting,
    PerplexityFigures,
    RowLikelihoods,
    Segments,
)
from medcot_pipeline.settings import PerplexitySettings

COMPLETION = ("reasoning", "answer")
TRAINER_BATCH = 8
"""The evaluation batch that transformers' Trainer takes unless told otherwise."""
DEFINITIONS: Mapping[str, str] = {
    "full_text": "prompt and completion together",
    "macro": "completion, mean over rows instead of tokens",
    "trainer_style": "completion, mean of batches of 8 (exp of the Trainer's eval_loss)",
}


def perplexity_figures(
    examples: pl.DataFrame,
    questions: Mapping[str, str],
    settings: PerplexitySettings,
    *,
    left_out: int,
    max_logit_difference: float,
) -> PerplexityFigures:
    """Every figure of both arms that the report's perplexity section rests on.

    Args:
        examples: lines of `EXAMPLE_SCHEMA`.
        questions: of the held-out rows, by row_id.
        settings: resamples and seed of the intervals.
        left_out: held-out rows that are too long.
        max_logit_difference: largest change of a token's log-likelihood, nats.
    """
    held_out = examples.filter(set="test")
    rows = by_row(held_out)
    general = examples.filter(set="general")
    lines = rows.select("row_id", "language", "base_nll", "tuned_nll", "tokens").iter_rows(named=True)
    headline = _compare(rows, settings)
    return PerplexityFigures(
        rows=rows.height,
        groups=rows["group_id"].n_unique(),
        base=headline.base,
        tuned=headline.tuned,
        ratio=headline.ratio,
        segments=Segments(**{name: _compare(by_row(held_out, [name]), settings) for name in COMPLETION}),
        bits_per_byte=_bits_per_byte(rows, settings),
        share_improved=(rows["tuned_nll"] < rows["base_nll"]).sum() / rows.height,
        definitions=definitions(held_out),
        general=_general(general, settings) if general.height else None,
        overfitting=_overfitting(by_row(examples.filter(set="train")), rows, settings),
        examples=tuple(RowLikelihoods(**line, question=questions[line["row_id"]]) for line in lines),
        left_out=left_out,
        max_logit_difference=max_logit_difference,
    )


def incumbent_figures(
    examples: pl.DataFrame, incumbent: pl.DataFrame, settings: PerplexitySettings
) -> AgainstIncumbent:
    """The headline of the same held-out rows against the incumbent."""
    tuned = examples.filter(set="test", arm="tuned")
    own = incumbent.filter(set="test").with_columns(arm=pl.lit("incumbent")).select(tuned.columns)
    rows = by_row(pl.concat([tuned, own]), against="incumbent")
    other, tuned_value, ratio = _paired(rows, settings, against="incumbent")
    return AgainstIncumbent(incumbent=other, tuned=tuned_value, ratio=ratio)


def definition_rows(figures: PerplexityFigures) -> list[DefinitionRow]:
    """The figures as a table, a row for each definition that was measured."""
    rows: list[tuple[str, ByArm[Interval] | ByArm[Point] | None]] = [
        ("completion (headline)", figures),
        *((f"{name} only", compared) for name, compared in figures.segments),
        ("completion, bits per byte", figures.bits_per_byte),
        *((DEFINITIONS[name], _points(values)) for name, values in figures.definitions),
        ("general passages (forgetting)", figures.general),
        ("held-out over training (overfitting)", figures.overfitting),
    ]
    return [DefinitionRow(definition=name, base=each.base, tuned=each.tuned) for name, each in rows if each]


def _points(values: ByArm[float]) -> ByArm[Point]:
    return ByArm[Point](base=Point(value=values.base), tuned=Point(value=values.tuned))


def by_row(examples: pl.DataFrame, segments: Sequence[str] = COMPLETION, *, against: Other = "base") -> pl.DataFrame:
    """One line per row over some segments, by row_id.

    Columns: row_id, language, group_id, tokens, bytes, base_nll, tuned_nll, base_text_nll, tuned_text_nll (nats); with
    the incumbent's name in the place of the base's where tuned is held against it.
    """
    of_row = ["row_id", "language", "group_id"]
    totals = (
        examples.filter(pl.col("segment").is_in(segments))
        .group_by(*of_row, "arm")
        .agg(pl.col("nll", "tokens", "text_nll", "bytes").sum())
    )
    names = {"nll": f"{against}_nll", "text_nll": f"{against}_text_nll"}
    other = totals.filter(arm=against).rename(names).drop("arm")
    tuned = totals.filter(arm="tuned").select("row_id", tuned_nll="nll", tuned_text_nll="text_nll")
    return other.join(tuned, on="row_id").sort("row_id")


def definitions(held_out: pl.DataFrame) -> Definitions:
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

    base, tuned = (value(arm) for arm in ARMS)
    return Definitions(**{name: ByArm[float](base=base[name], tuned=tuned[name]) for name in base})


def _compare(rows: pl.DataFrame, settings: PerplexitySettings, *, of: str = "nll", per: str = "tokens") -> Compared:
    """Both arms and their ratio, each with its interval over groups of rows."""
    base, tuned, ratio = _paired(rows, settings, of=of, per=per)
    return Compared(base=base, tuned=tuned, ratio=ratio)


def _paired(
    rows: pl.DataFrame,
    settings: PerplexitySettings,
    *,
    against: Other = "base",
    of: str = "nll",
    per: str = "tokens",
) -> tuple[Interval, Interval, Interval]:
    groups = _groups(rows)
    other, tuned, sizes = (groups[name].to_list() for name in (f"{against}_{of}", f"tuned_{of}", per))
    return paired_bootstrap_perplexity(other, tuned, sizes, settings.bootstrap_resamples, settings.seed)


def _groups(rows: pl.DataFrame) -> pl.DataFrame:
    """Sums of near-duplicate rows: they are no independent evidence, and so are resampled together."""
    return rows.group_by("group_id").agg(pl.col(pl.Int64, pl.Float64).sum()).sort("group_id")


def _bits_per_byte(rows: pl.DataFrame, settings: PerplexitySettings) -> ByArm[Interval]:
    """Sum of nll / (ln 2 x sum of bytes) over tokens that are text: comparable between tokenizers."""
    per_byte = _compare(rows, settings, of="text_nll", per="bytes")
    base, tuned = (Interval(**{name: math.log2(value) for name, value in per_byte.of(arm)}) for arm in ARMS)
    return ByArm[Interval](base=base, tuned=tuned)


def _general(general: pl.DataFrame, settings: PerplexitySettings) -> GeneralPerplexity:
    rows = by_row(general, ["text"])
    languages = {
        str(language): _compare(rows.filter(language=language), settings)
        for language in rows["language"].unique().sort()
    }
    return GeneralPerplexity(passages=rows.height, **dict(_compare(rows, settings)), languages=languages)


def _overfitting(trained: pl.DataFrame, held_out: pl.DataFrame, settings: PerplexitySettings) -> Overfitting | None:
    """Held-out over training perplexity; the base arm, which saw neither, says how much harder the held-out rows are.

    The training rows are a sample of the training split; a run with a token budget has not seen all of it.
    """
    if trained.is_empty():
        return None
    unseen, seen = _groups(held_out), _groups(trained)
    base, tuned = (
        bootstrap_perplexity_gap(
            unseen[f"{arm}_nll"].to_list(),
            unseen["tokens"].to_list(),
            seen[f"{arm}_nll"].to_list(),
            seen["tokens"].to_list(),
            settings.bootstrap_resamples,
            settings.seed,
        )
        for arm in ARMS
    )
    return Overfitting(train_rows=trained.height, base=base, tuned=tuned)
