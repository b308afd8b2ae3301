"""The evaluation report as data: the content of report.json.

Belongs here: its parts and their fields; `Report.model_json_schema()` is the JSON schema of the file.
Does not: computing them (build.py, following.py, incumbent.py), what other rooms also hold (records/).
"""

from typing import Annotated, Literal

from pydantic import Field

from medcot_pipeline.evaluation.statistics.estimates import (
    Agreement,
    BlindingIndex,
    LengthFigures,
    PassRates,
    Preference,
)
from medcot_pipeline.records.answer_figures import AnswerCounts, Flag, RuleCounts
from medcot_pipeline.records.arms import Arm
from medcot_pipeline.records.exams import Exams
from medcot_pipeline.records.figures import ByArm
from medcot_pipeline.records.judgement import JudgeCalls, Judged, JudgeTokens, NotJudged
from medcot_pipeline.records.perplexity import AgainstIncumbent, DefinitionRow, PerplexityFigures
from medcot_pipeline.records.prompts import Prompt
from medcot_pipeline.records.provenance import Provenance, TrainingSummary
from medcot_pipeline.records.record_model import Count, RecordModel
from medcot_pipeline.records.verdicts import Outcome, Verdict

Sentence = Annotated[str, Field(min_length=1)]
Source = Literal["human", "judge", "joint"]
"""Whose verdicts a preference is made of."""


class Histogram(RecordModel):
    """Rows by change of NLL per token, tuned - base; one edge more than counts."""

    unit: str
    edges: tuple[float, ...] = Field(min_length=2)
    counts: tuple[Count, ...] = Field(min_length=1)


class PerplexitySection(PerplexityFigures):
    """The figures with what the report makes of them."""

    relative_drop: float | None = Field(
        le=1, description="1 - ratio; negative when perplexity rose; None where the adapter changes nothing"
    )
    status: Literal["measured", "adapter without effect"]
    histogram: Histogram
    table: tuple[DefinitionRow, ...]


class Claim(RecordModel):
    """A figure that "so many % better" can mean; values are shares, points are differences of percentages."""

    claim: str
    formula: str
    unit: Literal["%", "points"]
    low: float | None
    high: float | None
    value: float | None


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


class JudgeUse(RecordModel):
    """What verdicts took of the judge."""

    calls: JudgeCalls
    errors: dict[str, int]
    tokens: JudgeTokens


class IncumbentSection(RecordModel):
    """Tuned against the promoted adapter, which stands as base in rates and preference; None: not measured."""

    adapter: str = Field(pattern="^[0-9a-f]{64}$")
    perplexity: AgainstIncumbent
    rates: Rates | None
    preference: Preference | None
    judge: JudgeUse | None


class ReportedRule(RuleCounts):
    """A rule's passes with what the rule means."""

    meaning: str


class ShownAnswer(RecordModel):
    """An answer, and which rules it passes; `tokens` is None where an endpoint did not count them."""

    prompt_id: str
    arm: Arm
    reasoning: str
    answer: str
    closed: bool
    finished: bool
    tokens: int | None
    rules: dict[str, bool]


class ShownVerdict(RecordModel):
    """A verdict, and who gave it."""

    source: str
    prompt_id: str
    outcome: Outcome
    reason: str


class Transcript(RecordModel):
    """A prompt, both answers, and what was said of them; `rules_difference` is rules passed, tuned - base."""

    prompt: Prompt
    arms: ByArm[ShownAnswer]
    verdicts: tuple[ShownVerdict, ...]
    rules_difference: int


class Transcripts(RecordModel):
    """Prompts where tuned did best, worst, and a draw of the rest, of those that both arms `answered`."""

    chosen_by: str
    answered: Count
    best: tuple[Transcript, ...]
    worst: tuple[Transcript, ...]
    random: tuple[Transcript, ...]


class StageCost(RecordModel):
    """What a stage took; seconds."""

    stage: str
    tokens: Count
    seconds: float
    tokens_per_second: float | None


class JudgeCost(RecordModel):
    """What the judge took; all empty without a judge.

    `paid` is what the run that judged asked and found in the cache, and its seconds; `price` is in the currency of the
    prices that are set.
    """

    calls: dict[str, int]
    errors: dict[str, int]
    tokens: dict[str, int]
    paid: dict[str, int | float]
    price: float | None = Field(ge=0)


class Cost(RecordModel):
    """What training, answers and verdicts took."""

    stages: tuple[StageCost, ...]
    judge: JudgeCost


class Report(RecordModel):
    """MedCoT evaluation report, version 3."""

    schema_version: Literal[3] = 3
    profile: str = Field(
        description="of the pass that wrote the report; what the figures were made with is in provenance"
    )
    summary_zh: Sentence
    warnings: tuple[Sentence, ...]
    claims: tuple[Claim, ...] = Field(min_length=1)
    perplexity: PerplexitySection
    instruction_following: InstructionFollowing
    incumbent: IncumbentSection | None = Field(description="None: there is none to compare with")
    answers: AnswerCounts
    exams: Exams
    rules: tuple[ReportedRule, ...]
    safety_queue: tuple[Flag, ...] = Field(description="reasons for people to look at an answer; no score")
    transcripts: Transcripts
    training: TrainingSummary
    cost: Cost
    not_measured: tuple[Sentence, ...]
    limits: tuple[Sentence, ...] = Field(min_length=1)
    provenance: Provenance
