from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medcot_pipeline_tests.unit.evaluation.answers.rules.checking import ZERO_WIDTH, passes

FOUND = [
    ("请立刻取来AED并开机。", "AED"),
    ("Get an aed now.", "AED"),
    ("Get an ＡＥＤ now.", "AED"),
    ("Get an **AED**, now.", "AED"),
    ("Get an _AED_ now.", "AED"),
    ("The AED's pads", "AED"),
    ("A\u200bE\u200cD", "AED"),
    ("A\u00adED", "AED"),
    ("\ufeffAED", "AED"),
    ("肾\u200b上腺\u2060素", "肾上腺素"),
    ("请拨打120。", "120"),
    ("请拨打１２０急救电话", "120"),
    ("call 120, now", "120"),
    ("拨打110，120或119", "120"),
    ("拨打1\u200b20", "120"),
    ("拨打1️⃣2️⃣0️⃣", "1\u20e32\u20e30"),
    ("50-8=42", "42"),
    ("The result is 42.", "42"),
    ("42元", "42"),
    ("water-based drinks", "water"),
    ("Drink\nwater", "drink water"),
    ("don’t stop", "don't"),
    ("补充维生素D。", "维生素D"),
    ("café", "cafe\u0301"),
]
NOT_FOUND = [
    ("paediatric care", "AED"),
    ("PAEDIATRIC", "AED"),
    ("小儿科paediatric门诊", "AED"),
    ("AEDs", "AED"),
    ("血压120/80mmHg", "120"),
    ("血压 120 / 80", "120"),
    ("血压130/120", "120"),
    ("1200毫克", "120"),
    ("4120", "120"),
    ("12 0", "120"),
    ("120.5", "120"),
    ("1.120", "120"),
    ("1,120", "120"),
    ("120,000", "120"),
    ("-120", "120"),
    ("−120", "120"),
    ("120%", "120"),
    ("120 %", "120"),
    ("120-140", "120"),
    ("120–140", "120"),
    ("120～140", "120"),
    ("120至140", "120"),
    ("100到120", "120"),
    ("120mg", "120"),
    ("A120", "120"),
    ("120:80", "120"),
    ("１２０／８０", "120"),
    ("12\u200b00", "120"),
    ("underwater", "water"),
    ("waters", "water"),
    ("backache", "back"),
    ("feedback", "back"),
    ("poisonous", "poison"),
    ("维生素D3", "维生素D"),
    ("请就医。", "肾上腺素"),
]


@pytest.mark.parametrize(("text", "word"), FOUND)
def test_a_word_is_found_whatever_its_case_width_and_hidden_characters(text: str, word: str) -> None:
    assert passes("must_contain", text, word)
    assert not passes("must_not_contain", text, word)


@pytest.mark.parametrize(("text", "word"), NOT_FOUND)
def test_a_part_of_a_word_or_a_number_is_not_found(text: str, word: str) -> None:
    assert not passes("must_contain", text, word)
    assert passes("must_not_contain", text, word)


WORDS = st.sampled_from(["AED", "120", "肾上腺素", "iron tablets", "维生素D"])
CONTEXTS = st.sampled_from(["请用{}。", "Use {} now.", "paediatric {}", "{}/80", "x{}", "{}s", "没有", "**{}**"])


@given(WORDS, CONTEXTS, st.lists(st.tuples(st.integers(0, 40), st.sampled_from(ZERO_WIDTH)), max_size=5))
def test_characters_that_show_nothing_change_neither_word_rule(
    word: str, context: str, hidden: list[tuple[int, str]]
) -> None:
    text = context.format(word)
    marked = text
    for at, char in hidden:
        marked = marked[:at] + char + marked[at:]
    for rule in ("must_contain", "must_not_contain"):
        assert passes(rule, marked, word) == passes(rule, text, word)


@given(st.text(min_size=1, max_size=60), WORDS)
def test_a_word_is_either_contained_or_left_out(text: str, word: str) -> None:
    given_text = f"a {text}"
    assert passes("must_contain", given_text, word) != passes("must_not_contain", given_text, word)


@pytest.mark.parametrize(
    ("rule", "value", "kept", "broken"),
    [
        (
            "warns_against",
            "牙膏",
            [
                "冷水冲洗，不要涂抹牙膏。",
                "切勿用酱油、牙膏等涂抹。",
                "先冲冷水。牙膏并无帮助，禁止使用！",
                "不要自行涂抹任何东西，包括牙膏。",
                "不要做的事：\n- 涂酱油\n- 涂牙膏\n\n可以做的事：\n- 冲冷水",
                "涂牙膏会加重损伤。",
                "牙膏、酱油等偏方，都不可取。",
                "不要涂牙\u200b膏。",
            ],
            [
                "涂抹牙膏即可。",
                "用冷水冲洗。",
                "不要慌。涂抹牙膏。",
                "不要慌，涂抹牙膏。",
                "不要用酱油。可以涂一点牙膏。",
                "涂牙膏可以避免感染。",
                "牙膏涂上就不疼了。",
                "不要涂抹牙膏。实在没有药可以用牙膏。",
                "可以做的事：\n- 冲冷水\n- 涂牙膏",
            ],
        ),
        (
            "warns_against",
            "butter",
            ["Do not use butter.", "Don’t put butter on it.", "Avoid ice, oil, and butter.", "Butter makes it worse."],
            ["Use butter.", "Cool it.", "Do not worry. Use butter.", "Know butter helps."],
        ),
        ("begins_with", "Yes", ["Yes, it is.", "YES.", "\u200bYes"], ["Yesterday.", "Well, yes.", "'Yes'"]),
        ("begins_with", "结论：", ["结论：可以。", "结论:可以。"], ["我的结论：可以。", "结论是可以。"]),
        ("ends_with", "？", ["您几岁？", "Old?"], ["您几岁？请说。", "您几岁。"]),
        ("ends_with", "Good luck", ["Rest. Good luck", "Rest. Good luck.", "good luck!"], ["Good luck to you", "No"]),
        (
            "one_of",
            ["emergency", "same day", "can wait"],
            ["emergency", "Emergency.", "“same day”", "SAME  DAY", "can\u200b wait"],
            ["non-emergency", "same day emergency", "same-day", "It is an emergency.", "emergency or same day", "wait"],
        ),
        ("one_of", ["是", "否"], ["是", "否。", "「是」"], ["不是", "是的", "是否", "是/否", "是，因为……"]),
        ("one_of", ["A", "B"], ["A", "b", "(A)", "Ａ"], ["AB", "A or B", "C", "A B"]),
        (
            "in_order",
            ["3", "9", "27"],
            ["3, 9, 27", "3、9、27", "3，9，27", "3 < 9 < 27"],
            ["27, 9, 3", "3, 9", "3, 27, 9", "27, 9, 3: 3, 9, 27", "3, 9, 270"],
        ),
        ("in_order", ["ant", "bee", "cat"], ["ant, bee, cat", "Ant\nBee\nCat"], ["bee, ant, cat", "anthem, bee, cat"]),
    ],
)
def test_texts_at_their_places_and_labels(rule: str, value: Any, kept: list[str], broken: list[str]) -> None:
    assert [text for text in kept if not passes(rule, text, value)] == []
    assert [text for text in broken if passes(rule, text, value)] == []
