"""What grades add up to: the contents of rubric.json and incumbent.json.

Belongs here: their fields, and reading a rubric.json of either kind.
Does not belong here: computing them (evaluation/rubrics/figures.py).
"""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, RootModel

from medcot_pipeline.records.arms import Arm, Other
from medcot_pipeline.records.figures import Count, Estimate, RecordModel, Share
from medcot_pipeline.records.judgement import JudgeCalls, JudgeTokens
from medcot_pipeline.support.json_files import read_model


class GradedArm(RecordModel):
    """How far one arm's answers could be graded.

    `not_told`, `not_quoted`, `no_reply` and `refused` sum to `ungradable`. `unscored` counts prompts with no gradable
    criterion above 0 points. `empty` answers meet nothing, and the judge was not asked.
    """

    arm: Arm
    answers: Count
    empty: Count
    criteria: Count
    ungradable: Count
    not_told: Count
    not_quoted: Count
    no_reply: Count
    refused: Count
    unscored: Count


class PromptScore(RecordModel):
    """Both arms' scores of one prompt; None where a prompt has none. At most 1; below 0 where harm outweighs."""

    prompt_id: str
    other: float | None
    tuned: float | None


class GroupScore(RecordModel):
    """A figure of both arms over the same prompts, and tuned - other; `n` counts those prompts."""

    group: str
    n: Count
    other: Estimate
    tuned: Estimate
    difference: Estimate


class RubricComparison(RecordModel):
    """Tuned against another arm, over the prompts that have a score in both.

    `overall`, `by_set`, `by_category` and `by_language` are mean scores. `by_axis` is points of met criteria over
    points to be had, of that axis' criteria in all prompts together.
    """

    against: Other
    scores: tuple[PromptScore, ...]
    overall: GroupScore
    by_axis: tuple[GroupScore, ...]
    by_set: tuple[GroupScore, ...]
    by_category: tuple[GroupScore, ...]
    by_language: tuple[GroupScore, ...]


class GraderGate(RecordModel):
    """One limit on what the grader does: `share` of `n` is at least `least`; `passed` is None without anything."""

    gate: str
    meaning: str
    share: Estimate
    n: Count
    least: Share
    passed: bool | None


class NotGraded(RecordModel):
    """Nothing was graded: no judge is configured, or no prompt that was asked has a rubric."""

    status: Literal["not configured", "no rubric"] = "not configured"
    passed_over: Count = 0


class Graded(RecordModel):
    """What the judge's grades add up to.

    `prompts` were asked and have a rubric; `without_rubric` were asked and have none; `passed_over` counts rubrics of
    prompts that were not asked. `served`, `changed` and `errors` as in `Judged`.
    """

    status: Literal["graded"] = "graded"
    model: str
    served: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    prompts: Count
    without_rubric: Count
    passed_over: Count
    arms: tuple[GradedArm, ...]
    comparison: RubricComparison
    gates: tuple[GraderGate, ...]
    calls: JudgeCalls
    errors: dict[str, int] = Field(default_factory=dict)
    tokens: JudgeTokens


RubricRecord = NotGraded | Graded


class _RubricFile(RootModel[Annotated[RubricRecord, Field(discriminator="status")]]):
    pass


def read_rubric_record(path: Path) -> RubricRecord:
    """The content of a rubric.json.

    Raises:
        MedcotError: it is none.
    """
    return read_model(path, _RubricFile).root
