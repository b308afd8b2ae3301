"""The rules over every genuine row; the rows stay in the folder of MEDCOT_REALDATA."""

import json
import re
import unicodedata
from collections import Counter

import polars as pl
import pytest

from medcot_pipeline.corpus.normalize.table import normalize_rows
from medcot_pipeline.corpus.normalize.text import comparison_key, normalize_text, trace
from medcot_pipeline.settings import NormalizeSettings
from medcot_pipeline_tests.support.genuine import FOLDER, genuine_rows_only

pytestmark = genuine_rows_only


def strings(value: object) -> list[str]:
    if isinstance(value, dict):
        return [text for field in value.values() for text in strings(field)]
    return [value] if isinstance(value, str) else []


@pytest.fixture(scope="module")
def texts() -> list[str]:
    found: list[str] = []
    for path in sorted(FOLDER.glob("*.json*")):
        content = path.read_text(encoding="utf-8")
        records = json.loads(content) if path.suffix == ".json" else map(json.loads, content.splitlines())
        found.extend(text for record in records for text in strings(record))
    assert found
    return found


def numbers(text: str) -> Counter[str]:
    plain = "".join(str(unicodedata.digit(char, char)) if char in "⁰¹²³⁴⁵⁶⁷⁸⁹₀₁₂₃₄₅₆₇₈₉" else char for char in text)
    return Counter(re.findall(r"\d+", unicodedata.normalize("NFKC", plain)))


def test_normalising_a_genuine_text_twice_changes_nothing_more(texts: list[str]) -> None:
    once = [normalize_text(text) for text in texts]
    assert sum(normalize_text(text) != text for text in once) == 0
    assert sum(comparison_key(text) != comparison_key(before) for text, before in zip(once, texts, strict=True)) == 0


def test_the_numbers_of_a_genuine_text_change_only_where_a_tag_was_converted(texts: list[str]) -> None:
    for text in texts:
        after, changes = trace(text)
        if numbers(after) != numbers(text):
            assert {change.rule for change in changes} & {"scripts", "tags", "breaks"}, text[:200]


@pytest.mark.parametrize("name", ["medical_o1_zh.json", "medical_o1_en.json"])
def test_genuine_rows_are_kept_but_for_those_that_need_an_image(name: str) -> None:
    path = FOLDER / name
    if not path.is_file():
        pytest.skip(f"{path} is absent")
    records = json.loads(path.read_text(encoding="utf-8"))
    rows = pl.DataFrame(
        {
            "row_id": [str(number) for number in range(len(records))],
            "question": [record["Question"] for record in records],
            "reasoning": [record["Complex_CoT"] for record in records],
            "answer": [record["Response"] for record in records],
        }
    )
    result = normalize_rows(rows, NormalizeSettings())
    assert result.rows.height + result.removed.height == rows.height
    assert set(result.removed["reason"]) <= {"needs_image"}
    assert result.removed.height <= 0.02 * rows.height
    assert result.rows["language"].unique().to_list() == [name.removesuffix(".json")[-2:]]
    shares = {rule["rule"]: float(rule["share"]) for rule in result.rules}
    assert shares["truncated"] == shares["wrong_language"] == shares["chat_tokens"] == 0
