"""Text that was decoded by the wrong encoding comes back, and medical text stays as it is."""

import ftfy.bad_codecs  # noqa: F401 - registers sloppy-windows-1252
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medcot_pipeline.corpus.normalize.mojibake import undo, what_is_left
from medcot_pipeline.corpus.normalize.table import normalize_rows
from medcot_pipeline.corpus.normalize.text import normalize_text
from medcot_pipeline.settings import NormalizeSettings

TEXTS = [
    "患者，男，45岁，右上腹疼痛3天，体温38.5℃，最可能的诊断是急性胆囊炎。",
    "夜间痛、进食后缓解，这更像十二指肠的问题。再看病程，也符合。",
    "急性阑尾炎",
]
WESTERN = "Sjögren’s syndrome – 37°C, 5×10 mg, Ménière"


@pytest.mark.parametrize("text", [*TEXTS, WESTERN])
@pytest.mark.parametrize("wrong", ["latin-1", "sloppy-windows-1252"])
def test_utf8_that_was_read_as_latin_comes_back_in_normalisation(text: str, wrong: str) -> None:
    """Staged after gbif/portal-feedback#3795: UTF-8 interpreted as 1252 and encoded again."""
    assert normalize_text(text.encode().decode(wrong)) == normalize_text(text)


@pytest.mark.parametrize("text", TEXTS)
def test_gbk_that_was_read_as_latin_comes_back(text: str) -> None:
    """Staged after qhduan/just_another_seq2seq#20: two encodings in one corpus file, and answers of noise."""
    assert normalize_text(text.encode("gbk").decode("latin-1")) == text


def test_latin_noise_within_a_chinese_text_comes_back_too() -> None:
    """Staged after qhduan/just_another_seq2seq#20: two encodings in one corpus file, and answers of noise."""
    noise = TEXTS[2].encode("gbk").decode("latin-1")
    assert undo(f"诊断：{noise}。") == "诊断：急性阑尾炎。"


@pytest.mark.parametrize("text", ["患者发热，体温升高", "最可能的诊断是肺炎，应先查血", "饮食不当，腹痛腹泻"])
def test_utf8_that_was_read_as_gbk_comes_back(text: str) -> None:
    """Staged after field reports of `鎮ｈ€呭彂鐑` in files that Windows had opened."""
    data, read = text.encode(), ""
    while data:  # Windows' GBK has the euro sign at 0x80
        size = 1 if data[0] == 0x80 else 2
        read += "€" if size == 1 else data[:2].decode("gb18030", "replace")
        data = data[size:]
    assert normalize_text(read) in (text, text[:-1] + "\ufffd")


def test_characters_that_lost_a_byte_are_marked_and_the_row_is_flagged() -> None:
    """Staged after field reports of `锛?` at the ends of sentences."""
    row = {"row_id": "r", "question": "患者发热3天，首先查什么？", "reasoning": "先看血象，再看胸片，都很快。"}
    outcome = normalize_rows(pl.DataFrame([{**row, "answer": "鐧界粏鑳?15.6"}]), NormalizeSettings())
    assert outcome.rows.select("answer", "flags").row(0) == ("白细\ufffd15.6", ["replacement_characters"])


@pytest.mark.parametrize(
    "text",
    [
        WESTERN,
        "××××年××月，患者因发热入院。",
        "×²、±²、Ø²、10µm²、½片、25°–30°、α-干扰素、β₂受体、pH 7.35～7.45",
        "“naïve” T cells; the patient’s “café-au-lait” spots; Köhler’s; Å; Löffler; façade…",
        "病人經過三分鐘的檢查，鎮痛後心臟與肝臟無異常，診斷為急性闌尾炎；醫師說這種藥物可以緩解疼痛。",
        "联通、锛子、铵盐、紫绀、恍惚、砷、锂、绛舌",
    ],
)
def test_text_that_is_right_is_neither_changed_nor_called_noise(text: str) -> None:
    """A repair of encodings by ftfy alone turns `×²` into a Hebrew letter."""
    assert undo(text) == text
    assert what_is_left(text) is None


@given(
    st.text(
        st.sampled_from("患者发热咳嗽体温血压的一是，。、；：（）“”℃±×μ≥<>=+-0123456789.%ABcmgLHpα₂⁹é°"), max_size=60
    )
)
@settings(max_examples=500, deadline=None)
def test_no_medical_text_changes(text: str) -> None:
    """A repair of encodings by ftfy alone turns `×²` into a Hebrew letter."""
    assert undo(text) == text
