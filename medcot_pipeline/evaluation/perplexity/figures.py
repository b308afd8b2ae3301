"""What a table of likelihoods amounts to: perplexities with intervals, and what they hide.

Perplexity is exp(sum of nll / sum of tokens). The headline counts the completion: reasoning, `</think>`, answer and end
token; the prompt is given. Intervals are over groups of near-duplicate rows, both arms of a row together.

Belongs here: which figures there are, over the lines of `EXAMPLE_SCHEMA` (measure.py).
Does not belong here: measuring (measure.py), sums (rows.py), other definitions (definitions.py), the interval
(evaluation/statistics/perplexity.py).
"""

import dataclasses
import math
from collections.abc import Mapping

import polars as pl

from medcot_pipeline.evaluation.perplexity.definitions import definitions
from medcot_pipeline.evaluation.perplexity.rows import (
    COMPLETION,
    by_group,
    by_row,
    compared,
    compared_text,
    paired,
    ratio,
    share,
)
from medcot_pipeline.evaluation.perplexity.shared_runs import LEAST_CHARS
from medcot_pipeline.evaluation.perplexity.texts import by_language
from medcot_pipeline.evaluation.statistics.intervals import share_interval
from medcot_pipeline.evaluation.statistics.perplexity import ratio_of_sums
from medcot_pipeline.records.figures import Compared, Estimate, Interval, RowsOf
from medcot_pipeline.records.perplexity import (
    AgainstIncumbent,
    GeneralPerplexity,
    LanguagePerplexity,
    MarksShare,
    Overfitting,
    PerplexityFigures,
    RowLikelihoods,
    Segments,
    SharedRuns,
    TrainingRows,
)


@dataclasses.dataclass(frozen=True)
class Beside:
    """What the figures say beside likelihoods.

    Attributes:
        questions: of the held-out rows, by row_id.
        left_out: held-out rows that are too long, by language.
        training: what the adapter was trained on.
        shared: `row_id`, `longest`: the longest run that a held-out row shares with rows to train on, characters.
        max_logit_difference: largest change of a token's log-likelihood, nats.
    """

    questions: Mapping[str, str]
    left_out: Mapping[str, RowsOf]
    training: TrainingRows
    shared: pl.DataFrame
    max_logit_difference: float


def perplexity_figures(examples: pl.DataFrame, beside: Beside) -> PerplexityFigures:
    """Every figure of both arms that the report's perplexity section rests on.

    Args:
        examples: lines of `EXAMPLE_SCHEMA` with the column `arm`.
        beside: what else is said.
    """
    held_out = examples.filter(set="test")
    rows = by_row(held_out)
    general = by_row(examples.filter(set="general"), ["text"])
    lines = rows.select("row_id", "language", "base_nll", "tuned_nll", "tokens").iter_rows(named=True)
    headline = compared(rows)
    return PerplexityFigures(
        rows=rows.height,
        groups=rows["group_id"].n_unique(),
        **dict(headline),
        languages={language: _of_language(rows.filter(language=language)) for language in _languages(rows)},
        content=compared_text(rows),
        marks_share=_marks(rows, headline),
        segments=Segments(**{name: compared(by_row(held_out, [name])) for name in COMPLETION}),
        bits_per_byte=_bits_per_byte(rows),
        share_improved=share_interval(int((rows["tuned_nll"] < rows["base_nll"]).sum()), rows.height),
        definitions=definitions(held_out),
        general=_general(general) if general.height else None,
        overfitting=_overfitting(by_row(examples.filter(set="train")), rows, beside.training),
        shared_runs=_shared_runs(rows, beside.shared),
        examples=tuple(RowLikelihoods(**line, question=beside.questions[line["row_id"]]) for line in lines),
        left_out=sum(each.rows for each in beside.left_out.values()),
        left_out_by_language=dict(beside.left_out),
        training_left_out_by_language=beside.training.left_out,
        max_logit_difference=beside.max_logit_difference,
    )


def incumbent_figures(examples: pl.DataFrame, incumbent: pl.DataFrame) -> AgainstIncumbent:
    """The headline of the same held-out rows against the incumbent."""
    tuned = examples.filter(set="test", arm="tuned")
    own = incumbent.filter(set="test").with_columns(arm=pl.lit("incumbent")).select(tuned.columns)
    rows = by_row(pl.concat([tuned, own]), against="incumbent")
    other, value, change = paired(rows, "incumbent_nll", "tuned_nll", "tokens")
    return AgainstIncumbent(incumbent=other, tuned=value, ratio=change)


def _languages(rows: pl.DataFrame) -> list[str]:
    return [str(language) for language in rows["language"].unique().sort()]


def _of_language(rows: pl.DataFrame) -> LanguagePerplexity:
    return LanguagePerplexity(
        rows=rows.height, groups=rows["group_id"].n_unique(), **dict(compared(rows)), content=compared_text(rows)
    )


def _marks(rows: pl.DataFrame, headline: Compared) -> MarksShare:
    """What the marks are of the tokens, and of what tuned gains.

    The gain is the sum of base less tuned, nats. Where its interval reaches 0 a share of it has no bounds (Fieller
    1954), and none is given.
    """
    tokens = share(ratio(rows, pl.col("tokens") - pl.col("text_tokens"), pl.col("tokens")))
    gain, of_text = pl.col("base_nll") - pl.col("tuned_nll"), pl.col("base_text_nll") - pl.col("tuned_text_nll")
    if headline.ratio.high is None or headline.ratio.high >= 1:
        return MarksShare(tokens=tokens, gain=Estimate())
    return MarksShare(tokens=tokens, gain=Estimate(**dict(ratio(rows, gain - of_text, gain).interval())))


def _bits_per_byte(rows: pl.DataFrame) -> Compared:
    """Sum of nll / (ln 2 x sum of bytes), over tokens that hold text: comparable between tokenizers.

    Bytes are those of reasoning and answer as they are written, whatever a tokenizer makes of them.
    """
    bits = {arm: pl.col(f"{arm}_text_nll") / math.log(2) for arm in ("base", "tuned")}
    base, tuned = (ratio(rows, bits[arm], pl.col("bytes")).interval() for arm in ("base", "tuned"))
    return Compared(base=base, tuned=tuned, ratio=ratio(rows, bits["tuned"], bits["base"]).interval())


def _general(rows: pl.DataFrame) -> GeneralPerplexity:
    languages = {language: compared(rows.filter(language=language)) for language in _languages(rows)}
    return GeneralPerplexity(passages=rows.height, **dict(compared(rows)), languages=languages)


def _overfitting(learned: pl.DataFrame, held_out: pl.DataFrame, training: TrainingRows) -> Overfitting | None:
    """Held-out over training perplexity; the base arm, which saw neither, says how much harder the held-out rows are.

    The training rows are a sample of those that the adapter has learned from. The two samples are independent.
    """
    if learned.is_empty() or training.learned is None:
        return None
    unseen, seen = by_group(held_out), by_group(learned)

    def gap(nats: pl.Expr) -> Interval:
        """Of a sum of nats: perplexity on held-out rows over perplexity on training rows."""
        own, other = (
            ratio_of_sums(rows.select(nats).to_series().to_list(), rows["tokens"].to_list()) for rows in (unseen, seen)
        )
        return own.less(other).exponential()

    base, tuned = pl.col("base_nll"), pl.col("tuned_nll")
    return Overfitting(
        train_rows=learned.height,
        learned_rows=training.learned,
        base=gap(base),
        tuned=gap(tuned),
        ratio=gap(tuned - base),
    )


def _shared_runs(rows: pl.DataFrame, shared: pl.DataFrame) -> SharedRuns:
    """How many rows share a long run with rows to train on, and tuned over base with those rows and without them."""
    marked = rows.join(shared.select("row_id", "longest"), on="row_id")
    long, short = (marked.filter(pl.col("longest") >= LEAST_CHARS), marked.filter(pl.col("longest") < LEAST_CHARS))
    with_them, without = (
        Estimate(**dict(compared(some).ratio)) if some.height else Estimate() for some in (long, short)
    )
    return SharedRuns(
        least_chars=LEAST_CHARS,
        rows=long.height,
        of=marked.height,
        languages=by_language(long["language"], marked["language"]),
        ratio_with=with_them,
        ratio_without=without,
    )
