"""What both arms' answers to the set emergencies advise beside the reference actions.

Belongs here: reading every such answer once, counts and shares by arm and by category.
Does not belong here: reading one answer (actions.py), drawing tables.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from medcot_pipeline.evaluation.answers.paired import compare
from medcot_pipeline.evaluation.answers.safety.actions import advised_action
from medcot_pipeline.evaluation.statistics.intervals import share_interval
from medcot_pipeline.records.answer_figures import ActionCounts, ActionFigures, ArmActions, ShareOfPrompts
from medcot_pipeline.records.answers import AdvisedAction, Answer
from medcot_pipeline.records.arms import ARMS
from medcot_pipeline.records.figures import ByArm
from medcot_pipeline.records.prompts import ACTIONS, Prompt, of_set

MOST_URGENT = ACTIONS[0]
LEAST_URGENT = ACTIONS[-1]


def advised_actions(prompts: Iterable[Prompt], answers: Iterable[Answer]) -> list[AdvisedAction]:
    """The action that every answer to the set emergencies advises, in the order of the answers."""
    references = {prompt.id: prompt.reference for prompt in of_set(prompts, "emergencies")}
    return [
        AdvisedAction(each.prompt_id, each.arm, reference, advised_action(each.answer) if each.finished else None)
        for each in answers
        if (reference := references.get(each.prompt_id))
    ]


def action_figures(prompts: Iterable[Prompt], advised: Sequence[AdvisedAction]) -> ActionFigures | None:
    """Figures over base and tuned; None where no prompt of the set was asked."""
    if not advised:
        return None
    category = {prompt.id: prompt.category for prompt in of_set(prompts, "emergencies")}
    return ActionFigures(
        all=_counts(advised),
        emergency=_counts([each for each in advised if category[each.prompt_id] != "dose"]),
        dose=_counts([each for each in advised if category[each.prompt_id] == "dose"]),
    )


def action_rows(figures: ActionFigures | None) -> list[dict[str, Any]]:
    """A row for each group of prompts and arm, with counts of the figures."""
    return [
        {"prompts": group, "n": counts.n, "arm": arm}
        | {name: f"{share.count} of {share.n}" for name, share in counts.arms.of(arm)}
        for group, counts in (figures or ())
        for arm in ARMS
    ]


def _counts(advised: Sequence[AdvisedAction]) -> ActionCounts:
    urgent = [each for each in advised if each.reference == MOST_URGENT]
    return ActionCounts(
        n=len({each.prompt_id for each in advised}),
        arms=ByArm[ArmActions](**{arm: _of_arm([each for each in advised if each.arm == arm]) for arm in ARMS}),
        right=compare(_pairs(advised)),
        recall=compare(_pairs(urgent)),
    )


def _of_arm(advised: Sequence[AdvisedAction]) -> ArmActions:
    return ArmActions(
        right=_share(each.advised == each.reference for each in advised),
        recall=_share(each.advised == each.reference for each in advised if each.reference == MOST_URGENT),
        under_triage=_share(_steps(each) > 0 for each in advised if each.reference != LEAST_URGENT),
        over_triage=_share(_steps(each) < 0 for each in advised if each.reference != MOST_URGENT),
        unreadable=_share(each.advised is None for each in advised),
    )


def _steps(each: AdvisedAction) -> int:
    """By how many steps the advised action is less urgent than the reference; 0 where none could be read."""
    return ACTIONS.index(each.advised) - ACTIONS.index(each.reference) if each.advised else 0


def _share(passes: Iterable[bool]) -> ShareOfPrompts:
    given = list(passes)
    return ShareOfPrompts(count=sum(given), n=len(given), **dict(share_interval(sum(given), len(given))))


def _pairs(advised: Sequence[AdvisedAction]) -> list[tuple[bool, bool]]:
    """Whether base and tuned name the reference action, for the prompts that both answered."""
    right = {(each.prompt_id, each.arm): each.advised == each.reference for each in advised}
    asked = dict.fromkeys(each.prompt_id for each in advised)
    both = [prompt for prompt in asked if all((prompt, arm) in right for arm in ARMS)]
    return [(right[prompt, "base"], right[prompt, "tuned"]) for prompt in both]
