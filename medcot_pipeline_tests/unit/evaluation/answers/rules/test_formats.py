import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medcot_pipeline.evaluation.answers.rules import FORMAT_RULES, TAUGHT, check_answer
from medcot_pipeline.settings.load import project_root
from medcot_pipeline_tests.unit.evaluation.answers.rules.checking import ZERO_WIDTH, answer, prompt

CHINESE = "患者反复胸痛三天，向左肩放射，活动后加重，休息可缓解。考虑稳定型心绞痛，建议完善心电图与心肌酶谱检查。"
ENGLISH = (
    "The pain comes with effort and goes with rest, so the likely cause is stable angina; an ECG is the first test."
)
GOOD_TEXTS = [
    row["Complex_CoT"] for row in json.loads((project_root() / "data/sample/medical_o1_sample.json").read_text("utf-8"))
]


@pytest.mark.parametrize("reasoning", ["", " ", "\n\n", "\u3000", *ZERO_WIDTH, "\u200b\n\ufeff", "……", "---"])
def test_empty_reasoning_closes_no_block(reasoning: str) -> None:
    assert not check_answer(prompt(), answer(CHINESE, reasoning=reasoning))["think_closed"]


@pytest.mark.parametrize(
    "text",
    ["结论。</think>", "<think>", "< think >再想", "结论</THINK>", "结论＜/think＞", "</\u200bthink>", "<\\think>"],
)
def test_a_second_mark_of_the_block_is_seen_however_it_is_written(text: str) -> None:
    assert not check_answer(prompt(), answer(text))["think_closed"]
    assert not check_answer(prompt(), answer(CHINESE, reasoning=f"先想。{text}"))["think_closed"]


def test_what_only_training_teaches_is_named() -> None:
    assert set(TAUGHT) < set(FORMAT_RULES)


@pytest.mark.parametrize("text", ["", "\u200b", "\ufeff\u00ad", "……", "**", "---", "。"])
def test_marks_and_hidden_characters_alone_are_no_answer(text: str) -> None:
    assert not check_answer(prompt(), answer(text))["answer_present"]


LOOPS = [
    "请及时就医。",
    "I will check again. ",
    "Wait, let me think about the potassium once more. ",
    "因此需要进一步检查血常规和肝功能以明确诊断。",
    "让我再想一想，这个患者的主诉是胸痛三天，向左肩放射，活动后加重，休息后可以缓解，没有发热，也没有咳嗽咳痰。",
    "!",
    "的",
    "1. 休息\n",
]


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("good", [0, 1, 3])
def test_a_looped_tail_is_a_loop_whatever_stands_before_it(loop: str, good: int) -> None:
    text = "\n".join(GOOD_TEXTS[:good]) + loop * (400 // len(loop) + 1)
    assert not check_answer(prompt(), answer(text))["not_looping"]
    assert not check_answer(prompt(), answer(CHINESE, reasoning=text))["not_looping"]


def test_a_loop_is_seen_before_closing_words_and_with_a_counter() -> None:
    assert not check_answer(prompt(), answer(GOOD_TEXTS[0] + "请及时就医。" * 60 + CHINESE))["not_looping"]
    counted = "".join(f"Step {n}: check the potassium again and think. " for n in range(1, 30))
    assert not check_answer(prompt(language="en"), answer(ENGLISH * 2 + counted))["not_looping"]
    assert not check_answer(prompt(), answer("\n\n".join(GOOD_TEXTS[:1] * 4)))["not_looping"]


@pytest.mark.parametrize(
    "text",
    [
        "请及时就医。" * 10,
        f"{CHINESE}请及时就医。请及时就医。请及时就医。",
        "| 药物 | 剂量 | 次数 |\n|"
        + "-" * 40
        + "|"
        + "-" * 40
        + "|"
        + "-" * 40
        + "|\n| 阿司匹林 | 100毫克 | 每日一次 |\n"
        + CHINESE,
        ENGLISH + "\n" + "=" * 120 + "\n" + ENGLISH,
        "\n".join(f"{n}. {text[:60]}" for n, text in enumerate(GOOD_TEXTS[:12], 1)),
    ],
)
def test_short_repetition_drawn_lines_and_lists_are_no_loop(text: str) -> None:
    assert check_answer(prompt(), answer(text))["not_looping"]


def test_no_reasoning_of_the_sample_is_a_loop() -> None:
    assert sum(not check_answer(prompt(), answer(CHINESE, reasoning=text))["not_looping"] for text in GOOD_TEXTS) == 0


@given(st.sampled_from(GOOD_TEXTS[:50]), st.integers(8, 40), st.data())
def test_a_text_with_a_piece_of_it_over_and_over_is_a_loop(text: str, length: int, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(text) - length))
    piece = text[start : start + length]
    assert not check_answer(prompt(), answer(text + piece * (600 // length)))["not_looping"]


OTHER_LANGUAGES = [
    "胸が痛いときは、すぐに病院へ行ってください。",
    "急性心筋梗塞の可能性がある。至急受診すること。",
    "ｶﾃﾞｨｵﾊﾞｰｼﾞｮﾝ",
    "가슴 통증이 있으면 즉시 병원에 가십시오.",
    "При боли в груди немедленно обратитесь в больницу.",
    "يجب الذهاب إلى المستشفى فوراً",
    "หากเจ็บหน้าอกให้ไปโรงพยาบาลทันที",
    "En cas de douleur thoracique, appelez immédiatement les urgences et ne prenez aucun médicament sans avis médical.",
    "Bei Brustschmerzen rufen Sie bitte sofort den Notarzt, legen sich hin und nehmen keine weiteren Medikamente ein.",
    "Si tiene dolor en el pecho, llame de inmediato a los servicios de urgencias y no conduzca hasta el hospital.",
    "Khi bị đau ngực, hãy gọi cấp cứu ngay lập tức và không tự lái xe đến bệnh viện vì rất nguy hiểm.",
    "120",
    "？！",
]


@pytest.mark.parametrize("text", OTHER_LANGUAGES)
@pytest.mark.parametrize("language", ["zh", "en"])
def test_other_languages_are_neither_chinese_nor_english(language: str, text: str) -> None:
    assert not check_answer(prompt(language=language), answer(text))["language_matches"]


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("zh", CHINESE),
        ("zh", "可口服阿司匹林（aspirin）每日一次，并监测血压与出血情况。"),
        ("zh", "优の水是日本的品牌，但是喝普通的白开水也完全可以满足人体每天需要的水分，不必特意购买。"),
        ("zh", "請立即就醫，並撥打急救電話。"),
        ("en", ENGLISH),
        ("en", "Take aspirin daily (阿司匹林)."),
        ("en", "Rest, ice, compression, elevation."),
        ("en", "Metformin, insulin glargine, sitagliptin, empagliflozin."),
        ("en", "TSH↑, FT4 normal → repeat in 6 weeks; α-blockers and β-blockers are not needed."),
    ],
)
def test_chinese_and_english_are_known_with_foreign_names_in_them(language: str, text: str) -> None:
    assert check_answer(prompt(language=language), answer(text))["language_matches"]


def test_chinese_is_no_english_and_english_no_chinese() -> None:
    assert not check_answer(prompt(language="en"), answer(CHINESE))["language_matches"]
    assert not check_answer(prompt(language="zh"), answer(ENGLISH))["language_matches"]


def test_the_asked_language_is_that_of_the_constraint() -> None:
    asked = prompt({"rule": "language", "value": "zh"}, language="en")
    assert check_answer(asked, answer(CHINESE)) == {**dict.fromkeys(FORMAT_RULES, True), "language": True}
    assert not check_answer(asked, answer(ENGLISH))["language_matches"]


def test_what_was_asked_for_verbatim_is_in_the_right_language() -> None:
    number = prompt({"rule": "number", "value": 42})
    assert check_answer(number, answer("42"))["language_matches"]
    word = prompt({"rule": "must_contain", "value": "water"})
    assert check_answer(word, answer("water"))["language_matches"]
    assert check_answer(word, answer("水是water。"))["language_matches"]
    assert not check_answer(word, answer("It is water."))["language_matches"]
    assert not check_answer(prompt({"rule": "max_chars", "value": 9}), answer("42"))["language_matches"]
