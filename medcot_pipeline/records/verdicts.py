"""Which of two answers a judge or a person prefers.

Belongs here: the outcome of one look at one prompt.
Does not belong here: what verdicts add up to (evaluation/statistics/).
"""

import dataclasses
from typing import Literal

from pydantic import ConfigDict

Outcome = Literal["base", "tuned", "incumbent", "tie", "inconsistent", "invalid"]


@dataclasses.dataclass(frozen=True)
class Verdict:
    """One judge's outcome for one prompt: the better arm, a tie, inconsistent between orders, or invalid."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    prompt_id: str
    outcome: Outcome
    reason: str = ""
