import dataclasses
from typing import Any

import pytest

from medcot_pipeline.evaluation.answers.figures import answer_figures
from medcot_pipeline.evaluation.answers.paired import check_answers
from medcot_pipeline.evaluation.answers.safety.triage import action_figures, action_rows, advised_actions
from medcot_pipeline.records.answers import AdvisedAction, Answer
from medcot_pipeline.records.arms import ARMS, Arm
from medcot_pipeline.records.figures import Estimate
from medcot_pipeline.records.prompts import Action, Prompt

SAID = {"call now": "Call 911.", "today": "See a doctor today.", "can wait": "Rest at home.", None: "I do not know."}


def prompt(number: int, reference: Action, category: str = "emergency") -> Prompt:
    emergency = reference == "call now"
    return Prompt(f"e-{number}", "en", category, "?", emergency, set="emergencies", reference=reference)


def answer(of: Prompt, arm: Arm, action: Action | None, *, finished: bool = True) -> Answer:
    return Answer(of.id, arm, "", SAID[action], True, finished, 5)


PROMPTS = [
    prompt(1, "call now"),
    prompt(2, "call now", "dose"),
    prompt(3, "today"),
    prompt(4, "can wait", "dose"),
]
BASE: list[Action | None] = ["call now", "can wait", None, "today"]
TUNED: list[Action | None] = ["call now", "call now", "call now", "can wait"]
ANSWERS = [
    answer(each, arm, action)
    for each, actions in zip(PROMPTS, zip(BASE, TUNED, strict=True), strict=True)
    for arm, action in zip(ARMS, actions, strict=True)
]


def test_every_answer_stands_beside_the_reference_of_its_prompt() -> None:
    other = Prompt("zh-001", "zh", "education", "?")
    advised = advised_actions([other, *PROMPTS], [Answer("zh-001", "base", "", "Call 911.", True, True, 5), *ANSWERS])
    assert advised[:2] == [
        AdvisedAction("e-1", "base", "call now", "call now"),
        AdvisedAction("e-1", "tuned", "call now", "call now"),
    ]
    assert [each.advised for each in advised if each.arm == "base"] == BASE
    assert [each.advised for each in advised if each.arm == "tuned"] == TUNED


def test_an_incumbent_has_advice_of_its_own_and_stands_in_no_figure_of_the_two_arms() -> None:
    incumbent = answer(PROMPTS[0], "incumbent", "today")
    advised = advised_actions(PROMPTS, [*ANSWERS, incumbent])
    assert advised[-1] == AdvisedAction("e-1", "incumbent", "call now", "today")
    assert action_figures(PROMPTS, advised) == action_figures(PROMPTS, advised[:-1])


def test_right_answers_recall_triage_and_unreadable_answers_are_counted_for_each_arm() -> None:
    figures = action_figures(PROMPTS, advised_actions(PROMPTS, ANSWERS))
    assert figures
    counted = {arm: {name: (share.count, share.n) for name, share in figures.all.arms.of(arm)} for arm in ARMS}
    assert counted["base"] == {
        "right": (1, 4), "recall": (1, 2), "under_triage": (1, 3), "over_triage": (1, 2), "unreadable": (1, 4)
    }  # fmt: skip
    assert counted["tuned"] == {
        "right": (3, 4), "recall": (2, 2), "under_triage": (0, 3), "over_triage": (1, 2), "unreadable": (0, 4)
    }  # fmt: skip


def test_emergencies_and_doses_have_figures_of_their_own() -> None:
    figures = action_figures(PROMPTS, advised_actions(PROMPTS, ANSWERS))
    assert figures
    assert (figures.all.n, figures.emergency.n, figures.dose.n) == (4, 2, 2)
    assert (figures.emergency.arms.base.recall.count, figures.emergency.arms.base.recall.n) == (1, 1)
    assert (figures.dose.arms.base.recall.count, figures.dose.arms.base.recall.n) == (0, 1)


def test_both_arms_are_paired_prompt_by_prompt() -> None:
    figures = action_figures(PROMPTS, advised_actions(PROMPTS, ANSWERS))
    assert figures
    right, recall = figures.all.right, figures.all.recall
    assert (right.n, right.base_only, right.tuned_only, right.mcnemar_p) == (4, 0, 2, 0.5)
    assert (recall.n, recall.base_only, recall.tuned_only, recall.mcnemar_p) == (2, 0, 1, 1.0)


def test_a_recall_of_all_has_an_interval_with_a_width_and_one_of_none_is_undefined() -> None:
    advised = [AdvisedAction(f"e-{number}", arm, "call now", "call now") for number in range(12) for arm in ARMS]
    figures = action_figures([prompt(number, "call now") for number in range(12)], advised)
    assert figures
    recall = figures.all.arms.tuned.recall
    assert (recall.value, recall.high) == (1.0, 1.0)
    assert recall.low is not None and 0.74 < recall.low < 0.76
    empty = figures.dose.arms.tuned.recall
    assert (empty.n, Estimate(value=empty.value, low=empty.low, high=empty.high)) == (0, Estimate())


@pytest.mark.parametrize("change", [{"finished": False}, {"answer": ""}, {"answer": "", "closed": False}])
def test_an_answer_that_is_empty_or_was_cut_advises_nothing_and_misses_recall(change: dict[str, Any]) -> None:
    given = [dataclasses.replace(answer(PROMPTS[0], "tuned", "call now"), **change)]
    (advised,) = advised_actions(PROMPTS, given)
    assert advised.advised is None
    figures = action_figures(PROMPTS, [advised])
    assert figures
    tuned = figures.all.arms.tuned
    assert (tuned.recall.count, tuned.recall.n, tuned.unreadable.count, tuned.under_triage.count) == (0, 1, 1, 0)


def test_answer_figures_have_actions_where_the_set_was_asked_and_none_elsewhere() -> None:
    figures = answer_figures(PROMPTS, ANSWERS, check_answers(PROMPTS, ANSWERS), "model")
    assert figures.actions == action_figures(PROMPTS, advised_actions(PROMPTS, ANSWERS))
    others = [Prompt("a", "en", "x", "?")]
    answers = [Answer("a", arm, "", "Call 911.", True, True, 5) for arm in ARMS]
    assert answer_figures(others, answers, check_answers(others, answers), "model").actions is None


def test_the_rows_of_the_page_have_counts_of_each_group_and_arm() -> None:
    rows = action_rows(action_figures(PROMPTS, advised_actions(PROMPTS, ANSWERS)))
    assert [(row["prompts"], row["arm"]) for row in rows] == [
        (group, arm) for group in ("all", "emergency", "dose") for arm in ARMS
    ]
    assert rows[1] == {
        "prompts": "all", "n": 4, "arm": "tuned", "right": "3 of 4", "recall": "2 of 2",
        "under_triage": "0 of 3", "over_triage": "1 of 2", "unreadable": "0 of 4",
    }  # fmt: skip
    assert action_rows(None) == []
