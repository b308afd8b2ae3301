"""What the AI judge said: the contents of judge.json and paid.json.

Belongs here: their fields, and reading a judge.json of either kind.
Does not: asking the judge (evaluation/judging/).
"""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, RootModel

from medcot_pipeline.records.figures import Count, RecordModel, Share
from medcot_pipeline.records.verdicts import Verdict
from medcot_pipeline.support.json_files import read_model


class Gate(RecordModel):
    """One limit on what the judge does; `passed` is None where there was nothing to count."""

    gate: str
    meaning: str
    value: Share | None
    n: Count
    low: float
    high: float
    passed: bool | None


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


class _JudgeFile(RootModel[Annotated[JudgeRecord, Field(discriminator="status")]]):
    pass


def read_judge(path: Path) -> JudgeRecord:
    """The content of a judge.json.

    Raises:
        MedcotError: it is none.
    """
    return read_model(path, _JudgeFile).root
