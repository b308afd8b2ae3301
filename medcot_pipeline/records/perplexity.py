"""Perplexities of held-out texts: the contents of perplexity.json, and of incumbent.json beside it.

Belongs here: their fields.
Does not belong here: the definitions behind them (evaluation/perplexity/figures.py).
"""

from pydantic import Field

from medcot_pipeline.records.figures import ByArm, Compared, Count, Estimate, Interval, Point, RecordModel, RowsOf


class HeldOutRows(RecordModel):
    """The rows measured, and the groups of near-duplicates among them, which intervals resample."""

    rows: int = Field(ge=1)
    groups: int = Field(ge=1)


class RowLikelihoods(RecordModel):
    """One held-out row in both arms: sums over its scored tokens, nats."""

    row_id: str
    language: str
    base_nll: float
    tuned_nll: float
    tokens: Count
    question: str

    @property
    def change(self) -> float:
        """Tuned less base, nats per token; 0 without tokens."""
        return (self.tuned_nll - self.base_nll) / self.tokens if self.tokens else 0.0


class Segments(RecordModel):
    """The headline by segment of the completion."""

    reasoning: Compared
    answer: Compared


class LanguagePerplexity(Compared, HeldOutRows):
    """The headline over the rows of one language, and the same without marks."""

    content: Compared


class MarksShare(RecordModel):
    """What marks make of the headline: `<think>`, `</think>` with the line ends around them, and the end token."""

    tokens: Estimate = Field(description="share of the scored tokens that are marks")
    gain: Estimate = Field(
        description="share of what tuned gains over base, nats, that marks bring; None: tuned is not surely better"
    )


class Definitions(RecordModel):
    """The same rows by other definitions that go by the name of perplexity."""

    full_text: Compared
    macro: Compared
    trainer_style: ByArm[Point]


class DefinitionRow(RecordModel):
    """One definition of perplexity by arm, and tuned over base; `note` says why a figure has no interval."""

    definition: str
    base: Interval | Point
    tuned: Interval | Point
    ratio: Interval | Point
    note: str = ""


class _Passages(RecordModel):
    passages: Count


class GeneralPerplexity(Compared, _Passages):
    """Both arms on passages that have nothing to do with the training; a ratio above 1 is forgetting."""

    languages: dict[str, Compared]


class _TrainedRows(RecordModel):
    train_rows: Count = Field(description="rows measured, drawn from those that the adapter has learned from")
    learned_rows: Count = Field(description="rows that the adapter has learned from, by its training run")


class Overfitting(Compared, _TrainedRows):
    """Held-out over training perplexity; what tuned has above base was learnt by heart."""


class TrainingRows(RecordModel):
    """What is known of the rows that an adapter was trained on, beside its measure.

    `learned`: rows that it has learned from; `left_out`: rows of the training split that were too long to be trained
    on, by language. None where they cannot be told: the SFT data set is another one now.
    """

    learned: Count | None
    left_out: dict[str, RowsOf] | None


class SharedRuns(RecordModel):
    """Held-out rows that share a long run of characters with the reasoning or the answer of a row to train on.

    `ratio_with` and `ratio_without` are tuned over base over those rows and over all others; nothing without such.
    """

    least_chars: Count
    rows: Count
    of: Count
    languages: dict[str, RowsOf]
    ratio_with: Estimate
    ratio_without: Estimate


class PerplexityFigures(Compared, HeldOutRows):
    """Both arms on the held-out rows; the headline is `base`, `tuned` and `ratio`."""

    languages: dict[str, LanguagePerplexity]
    content: Compared = Field(description="the headline without marks")
    marks_share: MarksShare
    segments: Segments
    bits_per_byte: Compared
    share_improved: Estimate
    definitions: Definitions
    general: GeneralPerplexity | None = Field(description="None: no passage was measured")
    overfitting: Overfitting | None = Field(description="None: no training row was measured")
    shared_runs: SharedRuns
    examples: tuple[RowLikelihoods, ...]
    left_out: Count = Field(description="held-out rows that are too long")
    left_out_by_language: dict[str, RowsOf] = Field(description="the same of all held-out rows")
    training_left_out_by_language: dict[str, RowsOf] | None = Field(
        description="rows of the training split that are too long to train on; None: the adapter had other rows"
    )
    max_logit_difference: float = Field(
        ge=0, description="largest change of a token's log-likelihood, nats; 0: the adapter changes nothing"
    )


class AgainstIncumbent(RecordModel):
    """The headline of the same rows against the incumbent."""

    incumbent: Interval
    tuned: Interval
    ratio: Interval


class _OfAdapter(RecordModel):
    adapter: str


class IncumbentPerplexity(AgainstIncumbent, _OfAdapter):
    """The same with the incumbent's fingerprint."""
