"""What the AI judges said: the contents of judge.json, second.json and paid.json.

Belongs here: their fields, and reading a judge.json of either kind.
Does not belong here: asking the judge (evaluation/judging/).
"""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, RootModel

from medcot_pipeline.records.figures import Count, Estimate, RecordModel, Share
from medcot_pipeline.records.verdicts import Verdict
from medcot_pipeline.support.json_files import read_model


class Gate(RecordModel):
    """One limit on what the judge does; `passed` is None where `n` is below `least_n`, so that nobody can tell.

    `interval` is the 95 % interval of `value`; `why` says what a judge does that is outside of the limits. Files of
    earlier versions have none of them.
    """

    gate: str
    meaning: str
    value: Share | None
    n: Count
    low: float
    high: float
    passed: bool | None
    interval: Estimate = Estimate()
    least_n: Count = 1
    why: str = ""

    @property
    def name(self) -> str:
        """How people read it."""
        return self.gate.replace("_", " ")

    def row(self) -> dict[str, str | int | float | bool | None]:
        """Its fields side by side, as a table shows them."""
        fields = self.model_dump(exclude={"interval"})
        return {**fields, "interval_low": self.interval.low, "interval_high": self.interval.high}

    def said(self) -> str:
        """Name, share, count, interval and limits in one piece; for one that is not passed also why."""
        if self.passed is None or self.value is None:
            return f"{self.name} has {self.n:,} cases and needs at least {self.least_n:,}"
        within = f", 95 % {self.interval.low:.0%} to {self.interval.high:.0%}" if self.interval.low is not None else ""
        limits = f"at least {self.low:.0%}" if self.high >= 1 else f"{self.low:.0%} to {self.high:.0%}"
        limits = f"at most {self.high:.0%}" if self.low <= 0 else limits
        why = "" if self.passed or not self.why else f": {self.why}"
        return f"{self.name} {self.value:.0%} of {self.n:,}{within}, {limits} required{why}"


class JudgeCalls(RecordModel):
    """Distinct calls: `answered` and `failed` sum to them; `invalid` and `repaired` count among those answered."""

    answered: Count
    invalid: Count
    repaired: Count
    failed: Count


class JudgeTokens(RecordModel):
    """What all answered calls cost, whichever run paid for them."""

    prompt: Count
    completion: Count


class PaidCalls(RecordModel):
    """What one run asked, what it found in the cache, and how long it took, seconds."""

    asked: Count
    cached: Count
    seconds: float = 0.0


class NotJudged(RecordModel):
    """No judge is configured."""

    status: Literal["not configured"] = "not configured"
    verdicts: tuple[Verdict, ...] = ()


class Judged(RecordModel):
    """Verdicts by prompt, and what says whether the judge can be trusted.

    `served`: the models that the endpoint says it used. `changed`: what was asked otherwise than wanted, since the
    endpoint does not take it. `errors` counts the refused calls by their status.
    """

    status: Literal["judged"] = "judged"
    model: str
    served: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    family: str
    verdicts: tuple[Verdict, ...]
    gates: tuple[Gate, ...]
    calls: JudgeCalls
    errors: dict[str, int] = Field(default_factory=dict)
    tokens: JudgeTokens


JudgeRecord = NotJudged | Judged


def failed_gates(judge: Judged) -> tuple[Gate, ...]:
    """Gates that the judge does not pass: outside of their limits, or with too few cases to tell."""
    return tuple(gate for gate in judge.gates if gate.passed is not True)


class _JudgeFile(RootModel[Annotated[JudgeRecord, Field(discriminator="status")]]):
    pass


def read_judge(path: Path) -> JudgeRecord:
    """The content of a judge.json.

    Raises:
        MedcotError: it is none.
    """
    return read_model(path, _JudgeFile).root


def read_second_judge(folder: Path) -> Judged | None:
    """What the second judge said over the same answers, in the folder of judgements; None where there is none.

    Raises:
        MedcotError: its second.json is none.
    """
    path = folder / "second.json"
    return read_model(path, Judged) if path.is_file() else None
