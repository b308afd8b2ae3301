"""The R1-distill tokenizer and the format over every genuine row; the rows stay in the folder of MEDCOT_REALDATA."""

import json
from typing import Any

import pytest

from medcot_pipeline.chat import IGNORED_LABEL, encode_row
from medcot_pipeline.chat.r1_tokenizer import r1_distill_tokenizer
from medcot_pipeline_tests.support.genuine import FOLDER, genuine_rows_only

pytestmark = genuine_rows_only

END = "<｜end▁of▁sentence｜>"


@pytest.fixture(scope="module")
def r1() -> Any:
    return r1_distill_tokenizer()


@pytest.fixture(scope="module")
def rows() -> list[dict[str, str]]:
    names = ("medical_o1_zh.json", "medical_o1_en.json")
    found = [row for name in names for row in json.loads((FOLDER / name).read_text(encoding="utf-8"))]
    assert len(found) > 500
    return found


def test_the_labels_are_reasoning_close_answer_and_end_token_whole(r1: Any, rows: list[dict[str, str]]) -> None:
    for row in rows:
        encoded = encode_row(r1, row["Question"], row["Complex_CoT"], row["Response"])
        wanted = [label for label in encoded.labels if label != IGNORED_LABEL]
        assert r1.decode(wanted) == f"{row['Complex_CoT'].strip()}\n</think>\n\n{row['Response'].strip()}{END}"
        assert encoded.labels[: len(encoded.prompt)] == [IGNORED_LABEL] * len(encoded.prompt)
        assert encoded.input_ids[len(encoded.prompt) :] == wanted


def test_every_text_comes_back_whole_from_its_tokens(r1: Any, rows: list[dict[str, str]]) -> None:
    for text in (text for row in rows for text in row.values()):
        assert r1.decode(r1.encode(text, add_special_tokens=False)) == text
