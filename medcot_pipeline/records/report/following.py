"""The report's section on instruction following as data.

Belongs here: its parts and their fields.
Does not belong here: computing them (evaluation/report/following.py), the rest of the report (report.py).
"""

from typing import Literal

from pydantic import Field

from medcot_pipeline.records.figures import ByArm, Count, RecordModel
from medcot_pipeline.records.judgement import Judged, NotJudged
from medcot_pipeline.records.report.estimates import (
    Adjudicated,
    Agreement,
    BlindingIndex,
    LengthFigures,
    PassRates,
    Preference,
)
from medcot_pipeline.records.report.sentences import Bilingual
from medcot_pipeline.records.verdicts import Verdict

Source = Literal["human", "judge", "adjudicated"]
"""Whose verdicts a preference is made of: people's first looks, the judge's, or people's after second looks."""


class Preferences(RecordModel):
    """The preference by whose verdicts it is made of; people's are complete first looks, where there is any."""

    human: Preference
    judge: Preference
    adjudicated: Adjudicated

    def of(self, source: Source) -> Preference:
        """The one of a source."""
        return {"human": self.human, "judge": self.judge, "adjudicated": self.adjudicated}[source]


class _OfCategory(RecordModel):
    category: str


class CategoryPreference(Preference, _OfCategory):
    """The preference within one category of prompts."""


class NotJudgedSection(NotJudged):
    """No judge is configured: there is nothing to validate."""

    validated: None = None


class JudgedSection(Judged):
    """The judge's record with whether people confirm it.

    `validation` says why, with the figures. `distrusted` says why its verdicts are no evidence, however many there
    are: gates that failed, people who do not confirm it.
    """

    validated: bool | None = Field(
        description="the lower end of kappa is at least 0.4 with every reviewer of at least 30 prompts; None: none yet"
    )
    validation: Bilingual
    distrusted: tuple[Bilingual, ...]


class HumanSection(RecordModel):
    """Whether anybody reviewed, and the prompts whose answer was marked as unsafe, by arm."""

    status: Literal["none yet", "reviewed"]
    unsafe: ByArm[tuple[str, ...]]


class SecondLookDone(RecordModel):
    """Prompts of a second look, disputed and agreed on, and how many of them were judged again."""

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
    """Pass rates: instructions kept, strictly and loosely, and answers that are not empty."""

    strict: PassRates
    loose: PassRates
    answered: PassRates


class InstructionFollowing(RecordModel):
    """Who prefers which arm, and how far that can be trusted; nothing of it comes from perplexity.

    `status`: measured by people, completely and on enough prompts; provisional: there are other verdicts. `headline`:
    whose verdicts it stands on: the first look of `human` where it is complete, else `judge` where nothing speaks
    against it, each on enough prompts, else none, and `why_no_headline` says why of either. `unresolved`: items of
    second looks that are open.
    """

    status: Literal["measured", "provisional", "not measured"]
    headline: Source | None
    why_no_headline: Bilingual | None
    preference: Preferences
    categories: dict[Source, tuple[CategoryPreference, ...]]
    length: dict[Source, LengthFigures]
    judge: NotJudgedSection | JudgedSection = Field(discriminator="status")
    human: HumanSection
    reviewers: tuple[ReviewerSection, ...]
    between: tuple[ReviewersAgreement, ...]
    unresolved: Count
    rates: Rates
