"""Perplexities of held-out texts: the contents of perplexity.json, and of incumbent.json beside it.

Belongs here: their fields.
Does not: the definitions behind them (evaluation/perplexity/figures.py).
"""

from pydantic import Field

from medcot_pipeline.records.figures import ByArm, Compared, Count, Interval, Point, RecordModel, Share


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


class Definitions(RecordModel):
    """The same rows by other definitions that go by the name of perplexity."""

    full_text: ByArm[float]
    macro: ByArm[float]
    trainer_style: ByArm[float]


class DefinitionRow(RecordModel):
    """One definition of perplexity, by arm; a point where no interval was computed."""

    definition: str
    base: Interval | Point
    tuned: Interval | Point


class _Passages(RecordModel):
    passages: Count


class GeneralPerplexity(Compared, _Passages):
    """Both arms on passages that have nothing to do with the training; a ratio above 1 is forgetting."""

    languages: dict[str, Compared]


class _TrainedRows(RecordModel):
    train_rows: Count


class Overfitting(ByArm[Interval], _TrainedRows):
    """Held-out over training perplexity; what tuned has above base was learnt by heart."""


class PerplexityFigures(Compared, HeldOutRows):
    """Both arms on the held-out rows; the headline is `base`, `tuned` and `ratio`."""

    segments: Segments
    bits_per_byte: ByArm[Interval]
    share_improved: Share
    definitions: Definitions
    general: GeneralPerplexity | None = Field(description="None: no passage was measured")
    overfitting: Overfitting | None = Field(description="None: no training row was measured")
    examples: tuple[RowLikelihoods, ...]
    left_out: Count = Field(description="held-out rows that are too long")
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
