"""Everything that a report is made from.

Belongs here: what was measured, as other stages published it.
Does not belong here: what the report makes of it (build.py).
"""

import dataclasses
from collections.abc import Mapping, Sequence

from medcot_pipeline.records.answer_figures import AnswerFigures
from medcot_pipeline.records.answers import AdvisedAction, Answer, RulesPassed
from medcot_pipeline.records.arms import Arm
from medcot_pipeline.records.exams import Exams
from medcot_pipeline.records.judgement import Judged, JudgeRecord, PaidCalls
from medcot_pipeline.records.perplexity import PerplexityFigures
from medcot_pipeline.records.prompts import Prompt
from medcot_pipeline.records.report.provenance import Provenance, TrainingSummary
from medcot_pipeline.records.report.report import IncumbentSection
from medcot_pipeline.records.review import HumanReviews
from medcot_pipeline.records.rubrics.graded import RubricRecord


@dataclasses.dataclass(frozen=True)
class Answered:
    """What both arms did with the frozen prompts.

    Attributes:
        prompts: the frozen prompts.
        answers: both arms' answers to them.
        checks: which rules the answers pass, those of the incumbent too.
        actions: what the answers to emergencies advise.
        figures: figures over both arms' answers.
        seconds: how long each arm took.
    """

    prompts: Sequence[Prompt]
    answers: Sequence[Answer]
    checks: Sequence[RulesPassed]
    actions: Sequence[AdvisedAction]
    figures: AnswerFigures
    seconds: Mapping[Arm, float]


@dataclasses.dataclass(frozen=True)
class Measured:
    """Everything that a report is made from.

    Attributes:
        perplexity: both arms on held-out rows.
        answered: both arms on the frozen prompts.
        judge: AI verdicts and gates, or that no judge is configured.
        second: the same of a second judge, if there is one.
        paid: calls and seconds of the run that judged; None without a judge.
        human: blind human verdicts, or none yet.
        exams: scores of both arms, or that they were not measured.
        rubrics: what the judge's grades by rubric add up to, or that nothing was graded.
        has_incumbent: whether another adapter is promoted.
        incumbent: tuned against the promoted adapter, or None where there is none to compare with.
        training: curves, cost and size of the training run.
        provenance: artifacts with hashes, packages, commit, settings, sources, seeds.
    """

    perplexity: PerplexityFigures
    answered: Answered
    judge: JudgeRecord
    second: Judged | None
    paid: PaidCalls | None
    human: HumanReviews
    exams: Exams
    rubrics: RubricRecord
    has_incumbent: bool
    incumbent: IncumbentSection | None
    training: TrainingSummary
    provenance: Provenance
