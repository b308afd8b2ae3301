import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medcot_pipeline.evaluation.answers.paired import check_answers, instruction_rates, rule_table
from medcot_pipeline.evaluation.answers.rules import CONSTRAINT_RULES, FORMAT_RULES, MEANINGS, check_answer
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
    assert check_answer(prompt(), answer("请及时就医。" * 49))["not_looping"]


def test_drug_names_in_latin_letters_leave_an_answer_chinese() -> None:
    assert check_answer(prompt(), answer("可口服阿司匹林（aspirin）每日一次，并监测血压与出血情况。"))[
        "language_matches"
    ]


def test_english_prompts_want_english_answers() -> None:
    english = prompt(language="en")
    assert check_answer(english, answer("Take aspirin daily (阿司匹林)."))["language_matches"]
    assert not check_answer(english, answer(NORMAL))["language_matches"]


def test_length_counts_characters_without_white_space_after_nfkc() -> None:
    assert passes("max_chars", "Ａ Ｂ\n　心 电图", 5)
    assert not passes("max_chars", "㎎", 1), "one sign, two letters after NFKC"


@pytest.mark.parametrize(
    "text",
    [
        "1. 休息\n2. 吸氧\n3. 就医",
        "1、休息\n2、吸氧\n3、就医",
        "（1）休息\n（2）吸氧\n（3）就医",
        "（一）休息\n（二）吸氧\n（三）就医",
        "①休息\n②吸氧\n③就医",
        "一、休息\n二、吸氧\n三、就医",
        "第一步：休息\n第二步：吸氧\n第三步：就医",
        "- 休息\n- 吸氧\n- 就医",
        "建议如下：\n  1．休息\n  2．吸氧\n  3．就医\n以上。",
        "**1. 休息**\n- 卧床\n- 避免情绪激动\n**2. 吸氧**\n2.5 L/min\n**3. 就医**",
    ],
)
def test_three_items_are_three_items_however_they_are_marked(text: str) -> None:
    assert passes("exact_items", text, 3)
    assert not passes("exact_items", text, 2)


@pytest.mark.parametrize("text", ["血钾\n2.8mmol/L", "体温变化\n-0.5℃", "上文\n---\n下文", NORMAL])
def test_values_rules_and_prose_are_no_items(text: str) -> None:
    assert passes("exact_items", text, 0)


def test_words_are_found_whatever_their_case_or_width() -> None:
    assert passes("must_contain", "请拨打１２０，做 ecg 检查。", ["120", "ECG"])
    assert not passes("must_contain", "请拨打120。", ["120", "急诊"])
    assert passes("must_not_contain", "请及时就医。", "抗生素")
    assert not passes("must_not_contain", "可用ＡＢＣ。", ["抗生素", "abc"])


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
    st.text(alphabet="多喝水*\n1.、 ", max_size=40), st.sampled_from(["max_chars", "exact_items"]), st.integers(0, 20)
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
        ({"rule": "max_words", "value": 3}, 'Prompt p1: unknown rule "max_words"'),
        ({"value": 3}, 'Prompt p1: unknown rule "None"'),
        ({"rule": "max_chars", "value": "200"}, "Prompt p1: rule max_chars needs a whole number"),
        ({"rule": "must_contain"}, "Prompt p1: rule must_contain needs a text"),
    ],
)
def test_an_unknown_rule_or_value_is_named_with_its_prompt(constraint: dict[str, Any], said: str) -> None:
    with pytest.raises(MedcotError, match=said):
        check_answer(prompt(constraint), answer())


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
