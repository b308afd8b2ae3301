"""The report's section on instruction following as data.

Belongs here: its parts and their fields.
Does not: computing them (evaluation/report/following.py), the rest of the report (report.py).
"""

from typing import Literal

from pydantic import Field

from medcot_pipeline.records.figures import ByArm, Count, RecordModel
from medcot_pipeline.records.judgement import Judged, NotJudged
from medcot_pipeline.records.report.estimates import (
    Agreement,
    BlindingIndex,
    LengthFigures,
    PassRates,
    Preference,
)
from medcot_pipeline.records.verdicts import Verdict

Source = Literal["human", "judge", "joint"]
"""Whose verdicts a preference is made of."""


class Preferences(RecordModel):
    """The preference by whose verdicts it is made of."""

    human: Preference
    judge: Preference
    joint: Preference

    def of(self, source: Source) -> Preference:
        """The one of a source."""
        return {"human": self.human, "judge": self.judge, "joint": self.joint}[source]


class _OfCategory(RecordModel):
    category: str


class CategoryPreference(Preference, _OfCategory):
    """The preference within one category of prompts."""


class NotJudgedSection(NotJudged):
    """No judge is configured: there is nothing to validate."""

    validated: None = None


class JudgedSection(Judged):
    """The judge's record with whether people confirm it."""

    validated: bool | None = Field(description="kappa with every reviewer is at least 0.4; None: nobody can say")


class HumanSection(RecordModel):
    """Whether anybody reviewed, and the prompts whose answer was marked as unsafe, by arm."""

    status: Literal["none yet", "reviewed"]
    unsafe: ByArm[tuple[str, ...]]


class SecondLookDone(RecordModel):
    """Disputed prompts, and how many of them were judged again."""

    prompts: Count
    done: Count


class ReviewerSection(RecordModel):
    """What a reviewer gave, how they agree with the judge and with themselves, whether they were blind."""

    reviewer: str
    qualification: str
    missing: Count
    minutes: float
    verdicts: tuple[Verdict, ...]
    with_judge: Agreement
    with_self: Agreement
    blinding: BlindingIndex
    second_look: SecondLookDone | None


class _OfReviewers(RecordModel):
    reviewers: tuple[str, str]


class ReviewersAgreement(Agreement, _OfReviewers):
    """How far two reviewers agree."""


class Rates(RecordModel):
    """Pass rates: instructions kept, strictly and loosely, and all rules, form included."""

    strict: PassRates
    loose: PassRates
    all_rules: PassRates


class InstructionFollowing(RecordModel):
    """Who prefers which arm, and how far that can be trusted; nothing of it comes from perplexity.

    `status`: measured by people, and complete; provisional: by the judge alone, or people are not done. `headline`:
    whose verdicts it stands on, `joint` where they cover every verdict of people, else `human`, else `judge`.
    `unresolved`: disputes between people and judge that are open.
    """

    status: Literal["measured", "provisional", "not measured"]
    headline: Source | None
    preference: Preferences
    categories: dict[Source, tuple[CategoryPreference, ...]]
    length: dict[Source, LengthFigures]
    judge: NotJudgedSection | JudgedSection = Field(discriminator="status")
    human: HumanSection
    reviewers: tuple[ReviewerSection, ...]
    between: tuple[ReviewersAgreement, ...]
    unresolved: Count
    rates: Rates
