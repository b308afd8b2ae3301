"""Figures that rooms hand to each other: estimates with intervals, and what compares two arms.

Belongs here: their fields.
Does not: computing them (evaluation/statistics/).
"""

from typing import Generic, TypeVar

from medcot_pipeline.records.arms import Arm
from medcot_pipeline.records.record_model import Count, RecordModel

T = TypeVar("T")


class Point(RecordModel):
    """A figure without an interval."""

    value: float


class Interval(RecordModel):
    """A figure with its 95 % interval."""

    value: float
    low: float
    high: float


class Estimate(RecordModel):
    """A figure with its 95 % interval; None where it is not defined or was not measured."""

    value: float | None = None
    low: float | None = None
    high: float | None = None


class ByArm(RecordModel, Generic[T]):
    """The same thing of both arms."""

    base: T
    tuned: T

    def of(self, arm: Arm) -> T:
        """The one of an arm.

        Raises:
            KeyError: the arm is the incumbent, which stands in records of its own.
        """
        return {"base": self.base, "tuned": self.tuned}[arm]


class Compared(ByArm[Interval]):
    """A figure of both arms, and tuned over base."""

    ratio: Interval


class PairedCounts(RecordModel):
    """How many of the same prompts or items each arm passes.

    `base_only` and `tuned_only` are passed by one arm alone; `mcnemar_p` is McNemar's exact test over them, None
    without such.
    """

    n: Count
    base_pass: Count
    tuned_pass: Count
    base_only: Count
    tuned_only: Count
    mcnemar_p: float | None
