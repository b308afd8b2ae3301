"""The evaluation report as data: the content of report.json.

Belongs here: its parts and their fields; `Report.model_json_schema()` is the JSON schema of the file.
Does not belong here: the section on instruction following (following.py), computing anything (evaluation/report/).
"""

from typing import Literal

from pydantic import Field

from medcot_pipeline.records.answer_figures import ActionFigures, AnswerCounts, Flag, RuleCounts
from medcot_pipeline.records.exams import Exams
from medcot_pipeline.records.figures import Count, RecordModel
from medcot_pipeline.records.judgement import JudgeCalls, Judged, JudgeTokens
from medcot_pipeline.records.perplexity import AgainstIncumbent, DefinitionRow, PerplexityFigures
from medcot_pipeline.records.report.decision import Decision
from medcot_pipeline.records.report.estimates import JudgesAgreement, Preference
from medcot_pipeline.records.report.following import InstructionFollowing, Rates
from medcot_pipeline.records.report.provenance import Provenance, TrainingSummary
from medcot_pipeline.records.report.sentences import Bilingual, Sentence
from medcot_pipeline.records.report.transcripts import Failures, Transcripts
from medcot_pipeline.records.rubrics.graded import RubricRecord


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


class SecondJudge(RecordModel):
    """A second judge's record over the same answers, what it prefers, and how far it agrees with the first."""

    judge: Judged
    preference: Preference
    agreement: JudgesAgreement


class ReportedRule(RuleCounts):
    """A rule's passes with what the rule means."""

    meaning: str


class StageCost(RecordModel):
    """What a stage took; seconds. Tokens are None where an endpoint did not count those of every answer."""

    stage: str
    tokens: Count | None
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
    """MedCoT evaluation report, version 4."""

    schema_version: Literal[4] = 4
    profile: str = Field(
        description="of the pass that wrote the report; what the figures were made with is in provenance"
    )
    summary_en: Sentence
    least_n: int = Field(ge=1, description="cases below which no figure is a headline, or promotes anything")
    summary_zh: Sentence
    smoke_test: tuple[Bilingual, ...] = Field(
        description="why the figures show that the chain works, and no more; empty where they show more"
    )
    decision: Decision
    failures: Failures
    warnings: tuple[Sentence, ...]
    claims: tuple[Claim, ...] = Field(min_length=1)
    perplexity: PerplexitySection
    instruction_following: InstructionFollowing
    second_judge: SecondJudge | None = Field(description="None: there is no second judge")
    rubrics: RubricRecord = Field(discriminator="status")
    actions: ActionFigures | None = Field(description="None: no emergency was asked")
    general: Rates | None = Field(description="None: no instruction apart from medicine was asked")
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
