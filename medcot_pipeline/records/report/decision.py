"""Whether an adapter takes over, and what that rests on.

Belongs here: the fields of a decision.
Does not belong here: deciding (release/decision.py), what becomes of a decision (release/promoted.py).
"""

from typing import Literal

from medcot_pipeline.records.figures import Count, RecordModel
from medcot_pipeline.records.report.sentences import Bilingual

Opponent = Literal["base", "incumbent"]
Figure = Literal["perplexity ratio", "net preference", "constraints kept, strictly", "answers that are not empty"]


class Requirement(RecordModel):
    """One figure against one opponent: `passed` is None where it was not measured.

    `counts` is the end of the 95 % interval that is held against `limit`; `n` how many cases the figure rests on
    (groups of held-out rows, or prompts). `problem` says why it cannot pass whatever its value.
    """

    against: Opponent
    figure: Figure
    n: Count
    value: float | None
    counts: float | None
    limit: float
    passed: bool | None
    problem: Bilingual | None = None


class Decision(RecordModel):
    """Whether to promote, every requirement that it rests on, and `reasons`.

    Reasons say what holds the adapter back, or was passed without having been measured.
    """

    promote: bool
    requirements: tuple[Requirement, ...]
    reasons: tuple[Bilingual, ...]
