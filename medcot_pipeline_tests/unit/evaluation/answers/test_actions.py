import pytest
from hypothesis import given
from hypothesis import strategies as st

from medcot_pipeline.evaluation.answers.safety.actions import advised_action, sends_to_care
from medcot_pipeline.records.prompts import ACTIONS, Action
from medcot_pipeline_tests.unit.evaluation.answers.advice_texts import CALL_NOW, CAN_WAIT, NOTHING, TODAY
from medcot_pipeline_tests.unit.evaluation.answers.written_otherwise import written_otherwise


@pytest.mark.parametrize("text", CALL_NOW)
def test_an_answer_that_sends_for_help_at_once_says_call_now(text: str) -> None:
    assert advised_action(text) == "call now"


@pytest.mark.parametrize("text", TODAY)
def test_an_answer_that_sends_to_a_doctor_on_this_day_says_today(text: str) -> None:
    assert advised_action(text) == "today"


@pytest.mark.parametrize("text", CAN_WAIT)
def test_an_answer_that_lets_wait_or_advises_against_care_says_can_wait(text: str) -> None:
    assert advised_action(text) == "can wait"


@pytest.mark.parametrize("text", NOTHING)
def test_numbers_questions_open_conditions_and_a_doctor_at_no_time_say_nothing(text: str) -> None:
    assert advised_action(text) is None


@pytest.mark.parametrize(
    ("condition", "action"),
    [
        ("If it gets worse, call 911.", "can wait"),
        ("If you have chest pain, call 911.", None),
        ("If you suspect a stroke, call 911.", "call now"),
        ("Even if it eases, call 911.", "call now"),
        ("如果加重，请拨打120。", "can wait"),
        ("如果胸痛剧烈，请拨打120。", None),
        ("如果怀疑中风，请拨打120。", "call now"),
        ("即使缓解，也要拨打120。", "call now"),
    ],
)
def test_a_condition_counts_by_whether_it_is_met_open_or_yet_to_come(condition: str, action: Action | None) -> None:
    assert advised_action(condition) == action


@given(st.sampled_from(CALL_NOW), st.sampled_from(TODAY), st.sampled_from(CAN_WAIT))
def test_the_most_urgent_advice_that_stands_wins_wherever_it_stands(call: str, today: str, wait: str) -> None:
    assert advised_action(f"{wait}\n\n{today}\n\n{call}") == "call now"
    assert advised_action(f"{call}\n\n{wait}") == "call now"
    assert advised_action(f"{today}\n\n{wait}") == "today"


@given(st.data())
def test_case_width_and_characters_without_width_change_no_advice(data: st.DataObject) -> None:
    text = data.draw(st.sampled_from([*CALL_NOW, *TODAY, *CAN_WAIT, *NOTHING]))
    assert advised_action(data.draw(written_otherwise(text))) == advised_action(text)


@given(st.text())
def test_any_text_advises_one_of_three_actions_or_none(text: str) -> None:
    action = advised_action(text)
    assert action is None or action in ACTIONS
    assert sends_to_care(text) == (action in ("call now", "today"))


@pytest.mark.parametrize(
    "piece", ["see a doctor ", "不要", "如果", "call ", "immediate ", "go to the ", "now and ", "(", '"a', "a, ", "1"]
)
def test_a_looping_answer_is_read_in_bounded_time(piece: str) -> None:
    assert advised_action(piece * (50_000 // len(piece))) in (None, *ACTIONS)
