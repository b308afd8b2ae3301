import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medcot_pipeline.evaluation.answers.paired import check_answers, instruction_rates, rule_table
from medcot_pipeline.evaluation.answers.rules import (
    CONSTRAINT_RULES,
    FORMAT_RULES,
    MEANINGS,
    check_answer,
    refuse_wrong_constraints,
)
from medcot_pipeline.records.answers import Answer
from medcot_pipeline.records.arms import Arm
from medcot_pipeline.records.prompts import Prompt
from medcot_pipeline.support.errors import MedcotError

NORMAL = "患者反复胸痛三天，向左肩放射，活动后加重，休息可缓解。考虑稳定型心绞痛，建议完善心电图与心肌酶谱检查。"


def prompt(*constraints: dict[str, Any], language: str = "zh", name: str = "p1") -> Prompt:
    return Prompt(name, language, "consultation", "胸痛怎么办？", constraints=constraints)


def answer(text: str = NORMAL, arm: Arm = "tuned", name: str = "p1", **changes: Any) -> Answer:
    return dataclasses.replace(Answer(name, arm, "先想一想。", text, True, True, 40), **changes)


def passes(rule: str, text: str, value: Any, *, loose: bool = False) -> bool:
    return check_answer(prompt({"rule": rule, "value": value}), answer(text), loose=loose)[rule]


def test_a_good_answer_passes_every_format_rule_and_no_other_is_reported() -> None:
    assert check_answer(prompt(), answer()) == dict.fromkeys(FORMAT_RULES, True)


def test_every_rule_has_a_meaning() -> None:
    assert set(MEANINGS) == {*FORMAT_RULES, *CONSTRAINT_RULES}


@pytest.mark.parametrize(
    ("rule", "broken"),
    [
        ("think_closed", answer("", closed=False)),
        ("think_closed", answer("结论。<think>再想想")),
        ("think_closed", answer(reasoning="先想。<think>再想想")),
        ("think_closed", answer("结论。</think>结论。")),
        ("answer_present", answer(" \n　")),
        ("finished", answer(finished=False)),
        ("not_looping", answer("请及时就医。" * 80)),
        ("not_looping", answer("", reasoning="Wait, let me think again. " * 40, closed=False)),
        ("language_matches", answer("The patient should see a cardiologist 尽快.")),
        ("language_matches", answer("120")),
    ],
)
def test_a_broken_answer_fails_its_rule(rule: str, broken: Answer) -> None:
    assert not check_answer(prompt(), broken)[rule]


def test_short_repetition_is_no_loop() -> None:
    assert check_answer(prompt(), answer("请及时就医。" * 10))["not_looping"]


def test_drug_names_in_latin_letters_leave_an_answer_chinese() -> None:
    assert check_answer(prompt(), answer("可口服阿司匹林（aspirin）每日一次，并监测血压与出血情况。"))[
        "language_matches"
    ]


def test_english_prompts_want_english_answers() -> None:
    english = prompt(language="en")
    assert check_answer(english, answer("Take aspirin daily (阿司匹林)."))["language_matches"]
    assert not check_answer(english, answer(NORMAL))["language_matches"]


@pytest.mark.parametrize(("rule", "value"), [("max_chars", 10), ("exact_items", 0), ("must_not_contain", "抗生素")])
def test_an_empty_answer_keeps_no_constraint(rule: str, value: Any) -> None:
    assert not passes(rule, "", value)


@pytest.mark.parametrize(
    ("text", "strict"),
    [
        ('{"检查": "超声", "理由": "复查"}', True),
        ('  {"理由": "", "检查": [], "其他": 1}\n', True),
        ('```json\n{"检查": "超声", "理由": "复查"}\n```', False),
        ('好的，结果如下：\n{"检查": "超声", "理由": "复查"}', False),
    ],
)
def test_json_with_the_asked_keys_is_found_strictly_and_in_its_wrapping(text: str, strict: bool) -> None:
    assert passes("json_keys", text, ["检查", "理由"]) is strict
    assert passes("json_keys", text, ["检查", "理由"], loose=True)


@pytest.mark.parametrize("text", ['{"检查": "超声"}', '["检查", "理由"]', "检查、理由", "[" * 100_000])
def test_what_is_no_such_json_fails_loosely_too(text: str) -> None:
    assert not passes("json_keys", text, ["检查", "理由"], loose=True)


def test_a_greeting_and_a_closing_line_break_a_limit_strictly_alone() -> None:
    text = "当然可以，下面是简短的回答：\n多喝水。\n祝您健康！"
    assert not passes("max_chars", text, 6)
    assert passes("max_chars", text, 6, loose=True)


@pytest.mark.parametrize(("rule", "value"), [("max_chars", 100), ("must_contain", "胸痛"), ("exact_items", 0)])
@pytest.mark.parametrize("loose", [False, True])
def test_an_answer_cut_at_the_token_limit_keeps_no_constraint(rule: str, value: Any, loose: bool) -> None:
    asked = prompt({"rule": rule, "value": value})
    assert check_answer(asked, answer(), loose=loose)[rule]
    assert not check_answer(asked, answer(finished=False), loose=loose)[rule]


@given(
    st.text(alphabet="多喝水*\n1.、 ", max_size=40), st.sampled_from(["max_chars", "exact_items"]), st.integers(1, 20)
)
def test_whatever_passes_strictly_passes_loosely(text: str, rule: str, value: int) -> None:
    assert not passes(rule, text, value) or passes(rule, text, value, loose=True)


def test_instruction_rates_count_prompts_with_constraints_alone() -> None:
    limit = {"rule": "max_chars", "value": 3}
    prompts = [prompt(limit, name="p1"), prompt(limit, {"rule": "must_contain", "value": "水"}, name="p2")]
    prompts.append(prompt(name="p3"))
    answers = [answer("**多喝水**", name=name, arm="base") for name in ("p1", "p2", "p3")]
    answers += [answer("多喝水", name="p1"), answer("多休息", name="p2"), answer("多喝水", name="p3")]
    rates = instruction_rates(check_answers(prompts, answers))
    assert (rates.strict.n, rates.strict.base_pass, rates.strict.tuned_pass) == (2, 0, 1)
    assert (rates.loose.base_pass, rates.loose.tuned_pass) == (2, 1)
    assert (rates.strict.absolute, rates.strict.relative) == (0.5, None)
    assert (rates.loose.absolute, rates.loose.relative) == (-0.5, -0.5)


def test_a_rule_given_twice_must_hold_twice() -> None:
    both = prompt({"rule": "must_contain", "value": "胸痛"}, {"rule": "must_contain", "value": "手术"})
    assert not check_answer(both, answer())["must_contain"]


@pytest.mark.parametrize(
    ("constraint", "said"),
    [
        (
            {"rule": "max_items", "value": 3},
            r'Prompt p1: unknown rule "max_items" \(did you mean \w+\?\). Known: max_chars',
        ),
        ({"value": 3}, 'Prompt p1: unknown rule "None"'),
        ({"rule": ["max_chars"], "value": 3}, "Prompt p1: unknown rule"),
        ({"rule": "max_chars", "value": 3, "limit": 4}, "Prompt p1: the constraint .*limit.* is no rule with a value"),
        ("max_chars", "Prompt p1: the constraint 'max_chars' is no rule with a value"),
        (
            {"rule": "max_chars", "value": "200"},
            "Prompt p1: rule max_chars needs a whole number of at least 1 as value, not '200'",
        ),
        ({"rule": "max_chars", "value": 0}, "rule max_chars needs a whole number of at least 1 as value, not 0"),
        ({"rule": "max_words", "value": 2.0}, "rule max_words needs a whole number of at least 1 as value, not 2.0"),
        ({"rule": "exact_items", "value": True}, "rule exact_items needs a whole number as value, not True"),
        ({"rule": "exact_items", "value": -1}, "rule exact_items needs a whole number as value, not -1"),
        ({"rule": "numbered_items", "value": None}, "rule numbered_items needs a whole number of at least 1"),
        ({"rule": "must_contain"}, "Prompt p1: rule must_contain needs a text"),
        ({"rule": "must_contain", "value": []}, "rule must_contain needs a text or a list of different texts"),
        ({"rule": "must_contain", "value": "\u200b"}, "rule must_contain needs a text"),
        ({"rule": "must_contain", "value": ["a", 1]}, "rule must_contain needs a text"),
        ({"rule": "must_not_contain", "value": {"a": 1}}, "rule must_not_contain needs a text"),
        ({"rule": "begins_with", "value": ["a"]}, "rule begins_with needs a text as value"),
        ({"rule": "one_of", "value": "yes"}, "rule one_of needs a list of different texts as value, not 'yes'"),
        ({"rule": "one_of", "value": ["yes", "YES"]}, "rule one_of needs a list of different texts"),
        ({"rule": "number", "value": "42"}, "rule number needs a number as value, not '42'"),
        ({"rule": "number", "value": float("nan")}, "rule number needs a number as value, not nan"),
        ({"rule": "number", "value": True}, "rule number needs a number"),
        ({"rule": "letter_case", "value": "title"}, "rule letter_case needs upper or lower as value, not 'title'"),
        ({"rule": "letter_case", "value": ["upper"]}, "rule letter_case needs upper or lower"),
        ({"rule": "language", "value": "ja"}, "rule language needs zh or en as value, not 'ja'"),
        ({"rule": "language", "value": ["zh"]}, "rule language needs zh or en"),
    ],
)
def test_a_wrong_constraint_is_refused_with_its_prompt_its_rule_and_its_value(constraint: Any, said: str) -> None:
    with pytest.raises(MedcotError, match=said):
        check_answer(prompt(constraint), answer())
    with pytest.raises(MedcotError, match=said):
        refuse_wrong_constraints([prompt(constraint)])


def test_a_language_without_rules_is_refused() -> None:
    with pytest.raises(MedcotError, match='Prompt p1: language "fr" has no rule'):
        check_answer(prompt(language="fr"), answer())


def test_the_table_pairs_arms_by_prompt() -> None:
    prompts = [prompt({"rule": "max_chars", "value": 10}, name="p0"), *(prompt(name=f"p{i}") for i in range(1, 7))]
    answers = [answer(arm="tuned", name=p.id) for p in prompts]
    answers += [answer(arm="base", name=p.id, finished=False) for p in prompts[:-1]]
    rows = {row.rule: row for row in rule_table(check_answers(prompts, answers))}
    assert rows["finished"].model_dump() == {
        "rule": "finished",
        "compared": True,
        "n": 6,
        "base_pass": 0,
        "tuned_pass": 6,
        "base_only": 0,
        "tuned_only": 6,
        "mcnemar_p": pytest.approx(2 * 0.5**6),
    }
    assert rows["max_chars"].n == 1
    assert rows["think_closed"].mcnemar_p is None
    assert "exact_items" not in rows
