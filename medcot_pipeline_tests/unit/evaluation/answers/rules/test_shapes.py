from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medcot_pipeline_tests.unit.evaluation.answers.rules.checking import ZERO_WIDTH, passes

TABLE = "| Name | Age |\n|---|:--:|\n| Ann | 5 |\n| Bo | 7 |"


def test_english_length_counts_spaces_as_asked() -> None:
    assert passes("max_chars", "Drink more water.", 17, language="en")
    assert not passes("max_chars", "Drink more water.", 16, language="en")
    assert not passes("max_chars", "a b c d e", 5, language="en")
    assert passes("max_chars", " \nDrink\nwater \n", 11, language="en"), "white space around an answer is none of it"
    assert passes("max_chars", "Wait…", 5, language="en")
    assert passes("max_chars", "cafe\u0301", 4, language="en")


def test_chinese_length_counts_no_white_space() -> None:
    assert passes("max_chars", "多 喝\n水", 3)
    assert not passes("max_chars", "㎎", 1), "one sign, two letters after NFKC"


@given(st.text(alphabet="Drink more 多喝水\n", min_size=1).filter(str.strip), st.sampled_from(ZERO_WIDTH), st.data())
@pytest.mark.parametrize("language", ["zh", "en"])
@pytest.mark.parametrize("rule", ["max_chars", "max_words"])
def test_characters_that_show_nothing_have_no_length(
    rule: str, language: str, text: str, char: str, data: st.DataObject
) -> None:
    at = data.draw(st.integers(0, len(text)))
    limit = data.draw(st.integers(1, len(text)))
    hidden = text[:at] + char + text[at:]
    assert passes(rule, hidden, limit, language=language) == passes(rule, text, limit, language=language)


@pytest.mark.parametrize(
    ("rule", "value", "kept", "broken"),
    [
        (
            "max_words",
            3,
            ["Drink more water.", "Rest – sleep well", "多喝水", "well-known 120/80 fact"],
            ["Drink much more water", "Rest—sleep very well", "多喝开水", "drink 更多水"],
        ),
        (
            "exact_sentences",
            1,
            [
                "Drink water.",
                "Take 0.5 mg, e.g. at night.",
                "多喝水。",
                "“Stop!” he said.",
                "春天来了……花开了。",
                "“多喝水！”他说。",
                "Use No. 5.",
                "Dr. Li said so!",
                "多喝水",
                "真的？！",
            ],
            [
                "Drink. Rest.",
                "多喝水。多休息。",
                "Drink\nRest",
                "喝水！休息？",
                "One. Two",
                "The answer is no. Rest.",
                "Take vitamin C. Rest.",
                "好的。\n多喝水。",
            ],
        ),
        (
            "exact_sentences",
            2,
            ["Drink. Rest.", "多喝水。“多休息。”", "Is it? Yes (it is)."],
            ["Drink.", "一。二。三。"],
        ),
        (
            "json_keys",
            ["a"],
            ['{"a": 1}', ' {"a": null, "b": 2}\n', '\ufeff{"a": 1}', '{"\u200ba": 1}'],
            ['[{"a": 1}]', '{"a": 1} ok', "{'a': 1}", '{"A": 1}', '{"a": NaN}', '{"a": 1}{"a": 1}', '{"a": 1,}', '"a"'],
        ),
        (
            "json_list",
            2,
            ["[1, 2]", '["a",\n"b"]'],
            ["[1]", "[1, 2, 3]", "1, 2", '{"a": [1, 2]}', "[1, 2] ok", "[1, NaN]", "['a', 'b']"],
        ),
        (
            "table_columns",
            ["Name", "Age"],
            [TABLE, f"Here:\n\n{TABLE}\n\nDone.", "Name | Age\n--- | ---\nAnn | 5", TABLE.replace("Name", "**name**")],
            [
                "| Age | Name |\n|---|---|\n| 5 | Ann |",
                "| Name | Age |\n|---|---|",
                "| Name | Age |\n|---|---|\n| Ann | |",
                "| Name | Age |\n| Ann | 5 |",
                "| Name | Age | Sex |\n|---|---|---|\n| Ann | 5 | f |",
                "Name, Age\nAnn, 5",
            ],
        ),
        (
            "number",
            1200,
            ["1200", "1,200", "1200.", " １２００ ", "+1200", "1200.0", "1\u200b200", "1200。"],
            [
                "1200.5",
                "12 00",
                "1200 g",
                "It is 1200",
                "1,2,00",
                "120",
                "-1200",
                "=1200",
                "1200 1200",
                "12e2",
                "一千二百",
            ],
        ),
        ("number", 0.25, ["0.25", "0.250"], [".25", "1/4", "25%"]),
        ("letter_case", "upper", ["DRINK WATER 2", "喝H2O"], ["Drink", "水", "DRINk"]),
        ("letter_case", "lower", ["drink water"], ["Drink water", "42"]),
        ("language", "zh", ["多喝水。"], ["Drink water.", "水を飲んでください。", "물을 많이 드세요."]),
        ("language", "en", ["Drink water."], ["多喝水。"]),
    ],
)
def test_lengths_and_shapes(rule: str, value: Any, kept: list[str], broken: list[str]) -> None:
    assert [text for text in kept if not passes(rule, text, value, language="en")] == []
    assert [text for text in broken if passes(rule, text, value, language="en")] == []


@given(st.integers(-(10**9), 10**9))
def test_a_number_is_itself_with_and_without_thousands_commas(value: int) -> None:
    assert passes("number", f"{value}", value) and passes("number", f"{value:,}.", value)
    assert not passes("number", f"{value + 1}", value)


def test_what_is_boxed_or_fenced_passes_loosely_alone() -> None:
    for text in ("The answer is \\boxed{42}.", "```\n42\n```", "So:\n**42**"):
        assert not passes("number", text, 42)
        assert passes("number", text, 42, loose=True)
