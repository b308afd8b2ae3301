"""What records of JSON files are made of: their base, estimates with intervals, and what compares two arms.

Belongs here: what several records share.
Does not belong here: computing figures (evaluation/statistics/), writing and reading files (support/json_files.py).
"""

from typing import Annotated, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from medcot_pipeline.records.arms import Arm

T = TypeVar("T")
Count = Annotated[int, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]


class RecordModel(BaseModel):
    """A record that does not change once it is made, and that refuses fields which it does not know.

    In a file the fields stand in the order in which they are declared; those of a base class that stands last among
    several come first.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")


class Point(RecordModel):
    """A figure that has no interval by its definition."""

    value: float


class Interval(RecordModel):
    """A figure with its 95 % interval; both ends are None where the evidence is too little for one."""

    value: float
    low: float | None
    high: float | None


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


class RowsOf(RecordModel):
    """So many rows of so many."""

    rows: Count
    of: Count


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
