from collections.abc import Mapping

import polars as pl
import pytest
from polars.testing import assert_frame_equal
from pydantic import ValidationError

from medcot_pipeline.corpus.normalize.noise import NOISE_RULES, Letters, NormalizedRow
from medcot_pipeline.corpus.normalize.options import split_options
from medcot_pipeline.corpus.normalize.table import CHUNK_ROWS, UNWRAPPED, NormalizedCorpus, normalize_rows
from medcot_pipeline.corpus.normalize.text import comparison_key, normalize_text
from medcot_pipeline.corpus.normalize.text_rules import RULES
from medcot_pipeline.settings import NoiseActions, NormalizeSettings
from medcot_pipeline.settings.load import load_settings
from medcot_pipeline.support.errors import MedcotError
from medcot_pipeline_tests.support.growth import grows_linearly, texts

QUESTION = "男，45岁，反复上腹痛3年，夜间加重，进食后缓解，最可能的诊断是什么？"
REASONING = "夜间痛、进食后缓解，这更像十二指肠的问题。再看病程，也符合。"
ANSWER = "最可能是十二指肠溃疡。"
OPTIONS = "\nA. 胃溃疡\nB. 十二指肠溃疡\nC. 胃癌\nD. 胆囊炎"
DEFAULTS = NormalizeSettings()
ENGLISH = "The pain at night that is relieved by food points to the duodenum, and the course fits that as well."


def table(*rows: Mapping[str, str]) -> pl.DataFrame:
    usual = {"question": QUESTION, "reasoning": REASONING, "answer": ANSWER}
    return pl.DataFrame([{"row_id": f"row-{number}", **usual, **row} for number, row in enumerate(rows)])


def outcome(settings: NormalizeSettings = DEFAULTS, /, **row: str) -> NormalizedCorpus:
    return normalize_rows(table(row), settings)


def found(rule: str, **fields: str) -> str:
    row = {"question": QUESTION, "reasoning": REASONING, "answer": ANSWER, **fields}
    finder = next(candidate for candidate in NOISE_RULES if candidate.name == rule)
    return finder.find(NormalizedRow.of(*(normalize_text(text) for text in row.values())), NormalizeSettings())


HITS = [
    ("empty_after_normalisation", {"answer": "\u200b \u3000"}),
    ("empty_after_normalisation", {"question": "？！。（  ）……。"}),
    ("too_short", {"reasoning": "是溃疡。"}),
    ("too_short", {"question": "病？"}),
    ("chat_tokens", {"reasoning": f"<think>{REASONING}"}),
    ("chat_tokens", {"answer": f"{ANSWER}</think>"}),
    ("chat_tokens", {"answer": f"{ANSWER}<|im_end|>"}),
    ("chat_tokens", {"answer": f"{ANSWER}<｜end▁of▁sentence｜>"}),
    ("chat_tokens", {"reasoning": f"&lt;think&gt;{REASONING}"}),
    ("needs_image", {"question": "女，30岁，胸片如图，最可能的诊断是什么？"}),
    ("needs_image", {"question": "女，30岁，胸痛。<br />[img=~/x.jpg] 诊断是？"}),
    ("needs_image", {"question": "请根据所给的照片，指出最可能的病变"}),
    ("needs_image", {"question": "女，30岁，心电图如下图所示，应首先考虑什么？"}),
    ("needs_image", {"question": "A 30-year-old woman has a rash. A photograph is shown. What is it?"}),
    ("truncated", {"reasoning": "夜间痛、进食后缓解，这更像十二指肠的问题，但是"}),
    ("truncated", {"answer": "最可能是十二指肠溃疡，因为"}),
    ("truncated", {"answer": "最可能是十二指肠溃疡，"}),
    ("wrong_language", {"reasoning": ENGLISH}),
    ("shared_stem_remnant", {"question": f"（共用题干）{QUESTION}"}),
    ("shared_stem_remnant", {"question": f"题干：{QUESTION}"}),
    ("shared_stem_remnant", {"question": f"{QUESTION}81. 该患者首选的检查是什么？"}),
    ("shared_stem_remnant", {"question": "该患者入院后应选择哪种检查？"}),
    ("shared_stem_remnant", {"question": f"3．{QUESTION}"}),
    ("has_options", {"question": QUESTION + OPTIONS}),
    (
        "answer_letter_conflict",
        {"question": QUESTION + OPTIONS, "reasoning": "所以选A。", "answer": "答案是B. 十二指肠溃疡。"},
    ),
    ("answer_letter_conflict", {"question": QUESTION + OPTIONS, "reasoning": "看来是C选项。", "answer": "选项B。"}),
    ("lost_exponent", {"question": "白细胞16.3×109/L，发热2天，最可能的诊断是什么？"}),
    ("lost_exponent", {"question": "白细胞19×10／L，发热2天，最可能的诊断是什么？"}),
    ("lost_exponent", {"reasoning": "血小板31×10L，太低了，要先看骨髓。"}),
    ("ocr_digits", {"question": "血压170/11Ommhg，最可能的诊断是什么？"}),
    ("ocr_digits", {"question": "血压152/l02mmHg，最可能的诊断是什么？"}),
    ("ocr_digits", {"question": "女，l3岁，血红蛋白8Og／L，最可能的诊断是什么？"}),
    ("ocr_digits", {"question": "尿白细胞O～3个/HP，最可能的诊断是什么？"}),
]
MISSES = [
    ("empty_after_normalisation", {}),
    ("too_short", {"answer": "B"}),
    ("chat_tokens", {"question": "PaO2<60mmHg且PaCO2>50mmHg，是哪一型呼吸衰竭？"}),
    ("needs_image", {"question": "心电图示窦性心律，超声心动图正常，企图自杀，最可能的诊断是什么？"}),
    ("needs_image", {"question": "脑电图中出现棘波，最可能的诊断是什么？"}),
    ("truncated", {"answer": "因此，最可能的诊断是：\n\nB. 十二指肠溃疡"}),
    ("wrong_language", {"reasoning": "PaCO2、HbA1c、CK-MB、NT-proBNP都正常，所以不像心梗。"}),
    ("wrong_language", {"answer": "Helicobacter"}),
    ("shared_stem_remnant", {"question": "男，30岁，脉搏100.次/分，孕3.产0，诊断是什么？"}),
    ("shared_stem_remnant", {"question": "男，30岁，血压为180/120.该患者的诊断是什么？"}),
    ("shared_stem_remnant", {"question": "1.5mg的地高辛相当于多少微克？"}),
    ("has_options", {"question": "现有A、B、C三组病人，组间差异用哪种检验？"}),
    ("has_options", {"question": "维生素A. 缺乏会怎样？"}),
    ("answer_letter_conflict", {"question": QUESTION + OPTIONS, "reasoning": "A不像，所以选B。", "answer": "答案：B"}),
    ("answer_letter_conflict", {"question": QUESTION + OPTIONS, "answer": "答案是B。"}),
    ("lost_exponent", {"question": "白细胞16.3×10⁹/L，另给予注射液2×10ml，诊断是什么？"}),
    ("lost_exponent", {"question": "白细胞16.3×10^9/L，诊断是什么？"}),
    ("ocr_digits", {"question": "FiO2 0.3，PaO2 60mmHg，ASO500U，CO2CP 15，20cmH2O，C12H12N2O3，5l液体，诊断是什么？"}),
]


@pytest.mark.parametrize(("rule", "fields"), HITS)
def test_a_defect_is_found_and_shown(rule: str, fields: dict[str, str]) -> None:
    assert found(rule, **fields)


@pytest.mark.parametrize(("rule", "fields"), MISSES)
def test_what_only_looks_like_a_defect_is_left_alone(rule: str, fields: dict[str, str]) -> None:
    assert found(rule, **fields) == ""


def test_every_rule_has_an_action_setting_and_says_what_it_finds() -> None:
    assert [rule.name for rule in NOISE_RULES] == list(NoiseActions.model_fields)
    assert all(field.description for field in NoiseActions.model_fields.values())


def test_the_defaults_drop_what_cannot_be_trained_on_and_flag_the_rest() -> None:
    dropped = {rule.name for rule in NOISE_RULES if rule.action(NormalizeSettings()) == "drop"}
    assert dropped == {
        "empty_after_normalisation",
        "placeholder",
        "mojibake_left",
        "error_message",
        "too_short",
        "chat_tokens",
        "chat_headings",
        "needs_image",
        "repetition",
    }


def test_an_action_changes_with_its_setting() -> None:
    question = "女，30岁，胸片如图，最可能的诊断是什么？"
    assert outcome(question=question).removed["reason"].to_list() == ["needs_image"]
    flagged = outcome(NormalizeSettings(actions=NoiseActions(needs_image="flag")), question=question)
    assert flagged.rows["flags"].to_list() == [["needs_image"]]
    ignored = outcome(NormalizeSettings(actions=NoiseActions(needs_image="ignore")), question=question)
    assert ignored.rows["flags"].to_list() == [[]]
    assert next(rule for rule in ignored.rules if rule["rule"] == "needs_image")["rows"] == 0


def test_an_action_is_set_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDCOT_NORMALIZE__ACTIONS__NEEDS_IMAGE", "flag")
    assert load_settings("tiny").normalize.actions.needs_image == "flag"


def test_an_unknown_rule_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValidationError, match=r"no noise rule blurry; known: .*needs_image.*ocr_digits"):
        NormalizeSettings.model_validate({"actions": {"blurry": "drop"}})


def test_a_lost_exponent_is_flagged_and_never_guessed() -> None:
    rows = outcome(question="白细胞16.3×109/L，发热2天，最可能的诊断是什么？").rows
    assert "16.3×109/L" in rows["question"][0] and rows["flags"].to_list() == [["lost_exponent"]]


def test_the_key_is_that_of_the_stem_without_options() -> None:
    rows = outcome(question=QUESTION + OPTIONS).rows
    assert rows["key"][0] == comparison_key(QUESTION)
    assert rows["question"][0] == QUESTION + OPTIONS


@pytest.mark.parametrize(
    ("row", "language"),
    [
        ({}, "zh"),
        ({"question": ENGLISH, "reasoning": ENGLISH, "answer": ENGLISH}, "en"),
        ({"reasoning": ENGLISH}, "mixed"),
    ],
)
def test_the_language_is_told(row: dict[str, str], language: str) -> None:
    assert outcome(**row).rows["language"].to_list() == [language]


def test_a_text_without_letters_has_no_language() -> None:
    assert Letters.of("120/80").language == "mixed"


def test_the_expected_language_can_be_set() -> None:
    assert "wrong_language" in outcome(NormalizeSettings(language="en")).rows["flags"][0]


def test_every_row_is_kept_or_removed_once_and_in_order() -> None:
    rows = table(*({"question": "如图，诊断是什么？"} if n % 3 == 0 else {"answer": f"答案{n}。"} for n in range(50)))
    result = normalize_rows(rows, NormalizeSettings())
    assert result.removed["row_id"].to_list() == [f"row-{n}" for n in range(0, 50, 3)]
    assert result.rows["row_id"].to_list() == [f"row-{n}" for n in range(50) if n % 3]


def test_rules_are_counted_once_a_row_with_an_example() -> None:
    rows = table({"question": "体温38．5℃，脉搏90．5，诊断是什么？", "answer": "3．5片。"}, {})
    rules = {rule["rule"]: rule for rule in normalize_rows(rows, NormalizeSettings()).rules}
    assert list(rules) == [*(rule.name for rule in RULES), UNWRAPPED, *(rule.name for rule in NOISE_RULES)]
    assert (rules["dots"]["action"], rules["dots"]["rows"], rules["dots"]["share"]) == ("convert", 1, 0.5)
    assert "38．5" in str(rules["dots"]["example_before"]) and "38.5" in str(rules["dots"]["example_after"])


def test_the_order_of_rows_shows_only_in_the_order_of_rows() -> None:
    rows = table(*({"question": f"体温38．{n}℃，女，l{n}岁，诊断是什么？"} for n in range(20)))
    forwards, backwards = (normalize_rows(frame, NormalizeSettings()) for frame in (rows, rows.reverse()))
    assert forwards.rules == backwards.rules
    assert_frame_equal(forwards.rows, backwards.rows.reverse())


def test_cutting_the_table_into_chunks_changes_nothing_and_reports_progress() -> None:
    seen: list[tuple[int, int]] = []
    rows = table(*({"answer": f"第{n}种，3．5片。"} for n in range(CHUNK_ROWS + 10)))
    result = normalize_rows(rows, NormalizeSettings(), lambda done, total: seen.append((done, total)))
    assert seen == [(CHUNK_ROWS, rows.height), (rows.height, rows.height)]
    assert_frame_equal(result.rows[-10:], normalize_rows(rows[-10:], NormalizeSettings()).rows)
    assert next(rule for rule in result.rules if rule["rule"] == "dots")["rows"] == rows.height


def test_no_rows_give_no_rows() -> None:
    result = normalize_rows(table({}).clear(), NormalizeSettings())
    assert result.rows.is_empty() and result.removed.is_empty() and all(rule["share"] == 0 for rule in result.rules)


def test_a_null_is_an_empty_text() -> None:
    rows = table({}).with_columns(answer=pl.lit(None, dtype=pl.String))
    assert normalize_rows(rows, NormalizeSettings()).removed["detail"].to_list() == ["answer is empty"]


def test_a_missing_column_is_named() -> None:
    with pytest.raises(MedcotError, match="no column reasoning"):
        normalize_rows(table({}).drop("reasoning"), NormalizeSettings())


@pytest.mark.parametrize("unit", ["中", "1", "A. x B. y C. z ", "1l", "如", "<｜a"])
def test_a_long_question_is_judged_in_linear_time(unit: str) -> None:
    assert grows_linearly(lambda text: outcome(question=text), *texts(unit))


@pytest.mark.parametrize(
    "unit",
    [
        *(
            "答案是A",
            "选项B ",
            "1O",
            "Human:\n",
            "{{answer ",
            "<a b",
            "&#1",
            "Ã©",
            "»¼Õß",
            "鎮ｈ€呭彂",
            "\\n",
            "a.a",
            "抱歉，",
        ),
        *("\ufffd", "這", "# ", "No ulcer. "),
    ],
)
def test_a_long_reasoning_is_judged_in_linear_time(unit: str) -> None:
    assert grows_linearly(lambda text: outcome(question=QUESTION + OPTIONS, reasoning=text), *texts(unit))


def test_ten_thousand_identical_rows_take_linear_time() -> None:
    few, rows = (table(*({} for _ in range(count))) for count in (2_500, 10_000))
    assert grows_linearly(lambda each: normalize_rows(each, NormalizeSettings()), few, rows)
    result = normalize_rows(rows, NormalizeSettings())
    assert result.rows["key"].n_unique() == 1 and result.rows.height == 10_000


@pytest.mark.parametrize(
    ("question", "stem", "letters"),
    [
        ("首选\nA. 甲药\nB. 乙药", "首选", "AB"),
        ("首选（ ）A．甲药 B．乙药 C．丙药", "首选（ ）", "ABC"),
        ("首选\n(A) 甲药\n(B) 乙药\n(C) 丙药", "首选", "ABC"),
        ("首选\nA 甲药\nB 乙药", "首选", "AB"),
        ("Which drug?\nA) one\nB) two\nC) three", "Which drug?", "ABC"),
        ("胶片A、B、C的密度各是多少？", "胶片A、B、C的密度各是多少？", ""),
        ("肝炎分A. B. 两型吗？", "肝炎分A. B. 两型吗？", ""),
    ],
)
def test_stem_and_options_are_told_apart(question: str, stem: str, letters: str) -> None:
    assert split_options(question).stem == stem and "".join(split_options(question).options) == letters
