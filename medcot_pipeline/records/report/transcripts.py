"""The answers that the report shows.

Belongs here: their fields.
Does not belong here: choosing them (evaluation/report/transcripts.py, evaluation/report/failures.py).
"""

from typing import Literal

from medcot_pipeline.records.arms import Arm
from medcot_pipeline.records.figures import ByArm, Count, RecordModel
from medcot_pipeline.records.prompts import Prompt
from medcot_pipeline.records.report.sentences import Bilingual
from medcot_pipeline.records.verdicts import Outcome


class ShownAnswer(RecordModel):
    """An answer, and which rules it passes; `tokens` is None where an endpoint did not count them."""

    prompt_id: str
    arm: Arm
    reasoning: str
    answer: str
    closed: bool
    finished: bool
    tokens: int | None
    rules: dict[str, bool]


class ShownVerdict(RecordModel):
    """A verdict, and who gave it."""

    source: str
    prompt_id: str
    outcome: Outcome
    reason: str


class Transcript(RecordModel):
    """A prompt, both answers, and what was said of them; `rules_difference` is rules passed, tuned - base."""

    prompt: Prompt
    arms: ByArm[ShownAnswer]
    verdicts: tuple[ShownVerdict, ...]
    rules_difference: int


class Transcripts(RecordModel):
    """Prompts where tuned did best, worst, and a draw of the rest, of those that both arms `answered`."""

    chosen_by: str
    answered: Count
    best: tuple[Transcript, ...]
    worst: tuple[Transcript, ...]
    random: tuple[Transcript, ...]


FailureKind = Literal["emergency missed", "no answer", "instruction lost", "base preferred"]


class Failure(Transcript):
    """A prompt that the tuned model failed, and why in one sentence."""

    kind: FailureKind
    why: Bilingual


class Failures(RecordModel):
    """How many prompts the tuned model failed in each way, and some of each; a prompt counts once, by its worst."""

    counts: dict[FailureKind, Count]
    shown: tuple[Failure, ...]
