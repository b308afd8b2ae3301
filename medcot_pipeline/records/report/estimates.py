"""Estimates over verdicts and pass rates, as the report holds them.

Belongs here: their fields.
Does not belong here: computing them (evaluation/statistics/).
"""

from medcot_pipeline.records.figures import Count, Estimate, PairedCounts, RecordModel
from medcot_pipeline.records.review import Guesses


class Preference(RecordModel):
    """How much more often the tuned arm is preferred.

    `n` counts verdicts without the invalid ones, on `prompts` prompts; `net` is (wins - losses) / n in [-1, 1];
    `sign_test_p` is exact and two-sided, over prompts; `win_rate` is wins / n. None where there is nothing to count.
    """

    n: Count
    prompts: Count
    wins: Count
    ties: Count
    losses: Count
    inconsistent: Count
    invalid: Count
    net: Estimate
    sign_test_p: float | None
    win_rate: Estimate


class _Adjudicated(RecordModel):
    disputed: Count
    agreed: Count
    shown_again: Count
    changed: Count


class Adjudicated(Preference, _Adjudicated):
    """The preference after second looks, which stands beside the people's first look and is never the headline.

    Of the first verdicts, `disputed` differ from the judge's and `agreed` do not; of the latter, `shown_again` were in
    a second look and `changed` there. All else is estimated (evaluation/statistics/adjudicated.py); wins, ties and
    losses are rounded, and `sign_test_p` is None.
    """


class PassRates(PairedCounts):
    """Pass rates of both arms, p(tuned) - p(base), and that over p(base)."""

    base: Estimate
    tuned: Estimate
    absolute: Estimate
    relative: Estimate


class Agreement(RecordModel):
    """How far two raters agree; `table` counts outcomes, first rater in rows, in the order base, tie, tuned.

    Raw agreement, Cohen's kappa, kappa with linear weights, Gwet's AC1, ordinal alpha.
    """

    n: Count
    table: tuple[tuple[int, int, int], tuple[int, int, int], tuple[int, int, int]]
    raw: Estimate
    kappa: Estimate
    kappa_linear: Estimate
    ac1: Estimate
    alpha: Estimate

    def coefficients(self) -> dict[str, Estimate]:
        """Every coefficient by its name."""
        return {name: getattr(self, name) for name in COEFFICIENTS}


class _OfJudges(RecordModel):
    judges: tuple[str, str]
    families: tuple[str, str]
    left_out: Count


class JudgesAgreement(Agreement, _OfJudges):
    """How far two AI judges agree: their models and families, and prompts that one of them has no valid verdict on."""

    @property
    def one_family(self) -> bool | None:
        """Whether one maker made both; None where that is not known."""
        return None if "unknown" in self.families else self.families[0] == self.families[1]


class _Guessed(RecordModel):
    n: Count


class BlindingIndex(Guesses, _Guessed):
    """Of `n` guesses which side is the tuned one; `value` is 0 where the review was blind, 1 where it was not."""

    value: Estimate


class LengthFigures(RecordModel):
    """How far a preference is one for longer answers.

    `mean_base` and `mean_tuned` in characters; `longer_wins` of the `decided` verdicts on answers of unequal length,
    with `longer_p`, exact and two-sided; `win_rate` with ties as one half; `controlled`, the same with length held
    equal; `points`, (tuned - base characters, score) of each verdict.
    """

    n: Count
    mean_base: float | None
    mean_tuned: float | None
    longer_wins: Estimate
    decided: Count
    longer_p: float | None
    win_rate: Estimate
    controlled: Estimate
    points: tuple[tuple[int, float], ...]


COEFFICIENTS = ("raw", "kappa", "kappa_linear", "ac1", "alpha")
