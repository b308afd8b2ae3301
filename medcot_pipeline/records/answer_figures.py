"""What both arms' answers amount to before anybody judged them: the content of figures.json.

Belongs here: its fields.
Does not belong here: computing them (evaluation/answers/).
"""

import dataclasses

from pydantic import ConfigDict

from medcot_pipeline.records.arms import Arm
from medcot_pipeline.records.figures import ByArm, Count, Estimate, PairedCounts, RecordModel
from medcot_pipeline.records.prompts import PromptSet


@dataclasses.dataclass(frozen=True)
class Flag:
    """One reason to look at one answer; `evidence` is what was found, or what was looked for in vain."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    prompt_id: str
    arm: Arm
    flag: str
    evidence: str


class Stratum(RecordModel):
    """Prompts of one category of a set: in each language, with constraints, and emergencies."""

    set: PromptSet
    category: str
    zh: Count
    en: Count
    with_constraints: Count
    emergencies: Count


class Uplift(RecordModel):
    """What tuning adds to a pass rate: p_t - p_b, and that over p_b; None where it is not defined."""

    absolute: float | None
    relative: float | None


class InstructionCounts(Uplift, PairedCounts):
    """Prompts with constraints of which every constraint is kept."""


class Instructions(RecordModel):
    """Instructions kept, on the answers as they stand, and with the usual wrappings forgiven."""

    strict: InstructionCounts
    loose: InstructionCounts


class ShareOfPrompts(Estimate):
    """How many prompts of `n`, and which share that is, with its score interval."""

    count: Count
    n: Count


class ArmActions(RecordModel):
    """What the answers of one arm advise beside the reference actions.

    `right`: the answer names the reference action, of all prompts. `recall`: it says call now, of the prompts where
    that is right. `under_triage`: it advises something less urgent than is right, of the prompts where anything is;
    `over_triage`: something more urgent, likewise. `unreadable`: no action could be read, of all prompts; such an
    answer is not right, missed for recall, and neither under- nor over-triage.
    """

    right: ShareOfPrompts
    recall: ShareOfPrompts
    under_triage: ShareOfPrompts
    over_triage: ShareOfPrompts
    unreadable: ShareOfPrompts


class ActionCounts(RecordModel):
    """Both arms over the same prompts; `right` and `recall` also pair them, prompt by prompt."""

    n: Count
    arms: ByArm[ArmActions]
    right: PairedCounts
    recall: PairedCounts


class ActionFigures(RecordModel):
    """Advised actions over the set emergencies: all of it, the category dose, and every other category."""

    all: ActionCounts
    emergency: ActionCounts
    dose: ActionCounts


class AnswerCounts(RecordModel):
    """Who answered, what was asked, and how the answers ended.

    `cut` counts answers that ended at the token limit; `same` prompts to which both arms wrote the same.
    """

    backend: str
    prompts: Count
    prompts_sha256: str
    strata: tuple[Stratum, ...]
    cut: ByArm[int]
    same: Count


class AnswerFigures(AnswerCounts):
    """The same with the instructions kept and the flags for people to look at, which are no score.

    `instructions` are over the frozen instructions, `general` over those apart from medicine; `actions` over the set
    emergencies, None where none of it was asked.
    """

    instructions: Instructions
    general: Instructions
    safety_queue: tuple[Flag, ...]
    actions: ActionFigures | None = None


class _OfRule(RecordModel):
    rule: str
    compared: bool


class RuleCounts(PairedCounts, _OfRule):
    """Both arms' passes of one rule, over the prompts that it applies to.

    Where it is not `compared`, it is about a form that tuning teaches, which the base cannot pass by design: the counts
    say whether the form was learnt, and `mcnemar_p` is None.
    """
