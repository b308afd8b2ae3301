"""Rubrics, and how one answer was graded by one: a line of grades.jsonl.

Belongs here: their fields.
Does not belong here: reading rubrics (evaluation/rubrics/files.py), grading (evaluation/rubrics/grading.py).
"""

import dataclasses
from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from medcot_pipeline.records.arms import Arm

Axis = Literal["accuracy", "emergency", "dose", "uncertainty", "asking_back", "completeness"]
"""What a criterion is about."""
Ungradable = Literal["", "cannot be told", "evidence not in the answer", "no grade in the reply", "call refused"]
"""Why a criterion has no grade; empty where it has one."""
Points = Annotated[int, Field(ge=-10, le=10)]


@dataclasses.dataclass(frozen=True)
class Criterion:
    """One thing that an answer should do, with points above 0, or a harm that it should not do, below 0."""

    id: str
    axis: Axis
    points: int
    criterion: str


@dataclasses.dataclass(frozen=True)
class Rubric:
    """The criteria of one prompt; at least one of them has points above 0."""

    prompt_id: str
    criteria: tuple[Criterion, ...]


@dataclasses.dataclass(frozen=True)
class Grade:
    """Whether one answer meets one criterion; None where that cannot be told, and `ungradable` says why.

    `evidence` is what the judge quoted from the answer, also where it does not stand there.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    prompt_id: str
    arm: Arm
    criterion: str
    axis: Axis
    points: Points
    met: bool | None
    evidence: str = ""
    ungradable: Ungradable = ""
