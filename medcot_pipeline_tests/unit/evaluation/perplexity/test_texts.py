import json
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medcot_pipeline.chat.r1_tokenizer import r1_distill_tokenizer
from medcot_pipeline.evaluation.perplexity.texts import (
    Passage,
    Text,
    encode_passage,
    encode_rows,
    held_out_texts,
    read_passages,
)
from medcot_pipeline.settings import PerplexitySettings
from medcot_pipeline.settings.load import project_root
from medcot_pipeline.support.errors import MedcotError
from medcot_pipeline_tests.support.byte_tokenizer import byte_tokenizer

ODD = {
    "zh": ("先看年龄。\n\n再看血象：38.5℃，WBC 15.6×10⁹/L。", "血常规。"),
    "en": ("Well,  an ECG is quick.\nIt's safe, too.", "An ECG first. "),
    "emoji": ("🙂 先想👩‍⚕️一想", "👍🏽"),
    "odd to NFKC": ("ﬁ Å Å ① ㎎ ½ ｆｕｌｌ \u3000 width", "５０ ㎎"),
    "marks in the text": ("He wrote </think> and <think>\nhere.", "<|im_end|>"),
    "one letter": ("a", "B"),
}


def bpe_tokenizer() -> Any:
    """A small vocabulary in the way of SmolLM2's: merges of bytes, no token for `<think>` or `</think>`.

    Beside that it does what makes trouble: it normalises by NFKC, and leaves white space out of its offsets.
    """
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=True)
    trainer = trainers.BpeTrainer(
        vocab_size=600, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    tokenizer.train_from_iterator(["\n\n\n\n</think>\n\n" + "".join(texts) for texts in ODD.values()] * 5, trainer)
    tokenizer.add_special_tokens(["<|im_end|>"])
    template = byte_tokenizer().chat_template
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|im_end|>", chat_template=template)


TOKENIZERS: dict[str, Callable[[], Any]] = {"R1": r1_distill_tokenizer, "bytes": byte_tokenizer, "BPE": bpe_tokenizer}
MADE: dict[str, Any] = {}


def tokenizer(name: str) -> Any:
    if name not in MADE:
        MADE[name] = TOKENIZERS[name]()
    return MADE[name]


def encoded(name: str, reasoning: str, answer: str) -> Text:
    row = {"row_id": "r", "group_id": "g", "language": "zh", "question": "怎么办？"}
    (text,) = encode_rows(tokenizer(name), pl.DataFrame([{**row, "reasoning": reasoning, "answer": answer}]), "test")
    return text


@pytest.mark.parametrize("kind", ODD)
@pytest.mark.parametrize("name", TOKENIZERS)
def test_the_bytes_are_those_of_the_text_under_every_tokenizer(kind: str, name: str) -> None:
    reasoning, answer = ODD[kind]
    pieces = encoded(name, reasoning, answer).segments
    assert pieces["reasoning"].bytes == len(reasoning.strip().encode())
    assert pieces["answer"].bytes == len(answer.strip().encode())
    assert pieces["prompt"].bytes == 0


@given(st.text(min_size=1).map(str.strip).filter(bool), st.text(min_size=1).map(str.strip).filter(bool))
@settings(max_examples=60, deadline=None)
def test_any_text_has_the_same_bytes_under_two_tokenizers(reasoning: str, answer: str) -> None:
    one, other = (encoded(name, reasoning, answer).segments for name in ("R1", "bytes"))
    for segment in ("reasoning", "answer"):
        assert one[segment].bytes == other[segment].bytes
        assert sum(other[segment].text) == other[segment].bytes, "a token a byte: all of the text and nothing else"


@pytest.mark.parametrize("kind", ["zh", "en", "emoji", "one letter"])
@pytest.mark.parametrize("name", TOKENIZERS)
def test_marks_are_no_text_however_a_tokenizer_cuts_them(kind: str, name: str) -> None:
    reasoning, answer = (text.strip() for text in ODD[kind])
    pieces, own = encoded(name, reasoning, answer).segments, tokenizer(name)
    for segment, text in (("reasoning", reasoning), ("answer", answer)):
        ids = [token for token, is_text in zip(pieces[segment].ids, pieces[segment].text, strict=True) if is_text]
        said, wanted = (unicodedata.normalize("NFKC", each) for each in (own.decode(ids), text))
        assert said.strip("\n") == wanted, "a token may hold the line end behind the text"
        assert len(pieces[segment].ids) == len(pieces[segment].text)
    marks = [
        own.decode([token])
        for segment in ("reasoning", "answer")
        for token, is_text in zip(pieces[segment].ids, pieces[segment].text, strict=True)
        if not is_text
    ]
    assert "</think>" in "".join(marks) and "".join(marks).endswith(own.eos_token)


def test_a_mark_that_is_written_in_a_text_is_text() -> None:
    reasoning, answer = ODD["marks in the text"]
    pieces = encoded("bytes", reasoning, answer).segments
    assert sum(pieces["reasoning"].text) == len(reasoning)


def test_rows_are_encoded_as_for_training_and_passages_behind_a_first_token() -> None:
    own = tokenizer("bytes")
    text = encoded("bytes", "想", "答")
    assert own.decode(text.ids).endswith("<|im_start|>assistant\n<think>\n想\n</think>\n\n答<|im_end|>")
    assert list(text.segments) == ["prompt", "reasoning", "answer"]
    passage = encode_passage(own, Passage("zh-1", "zh", "河流"))
    assert passage.segments["prompt"].ids == [own.eos_token_id]
    assert own.decode(passage.segments["text"].ids) == "河流"
    assert (passage.segments["text"].bytes, sum(passage.segments["text"].text)) == (6, 6)


SPLITS = pl.DataFrame(
    [
        {
            "row_id": f"r{number}",
            "split": "test",
            "group_id": f"g{number}",
            "language": "zh" if number < 3 else "en",
            "question": "?",
            "reasoning": "想" * 20 if number < 2 else "a",
            "answer": "b",
        }
        for number in range(5)
    ]
)


def test_rows_that_are_too_long_are_counted_by_language() -> None:
    fitting, left_out = held_out_texts(tokenizer("bytes"), SPLITS, 90)
    assert [text.row_id for text in fitting] == ["r2", "r3", "r4"]
    counted = {language: (each.rows, each.of) for language, each in left_out.items()}
    assert counted == {"en": (0, 2), "zh": (2, 3)}, "all that were left out were Chinese"


def test_where_every_row_is_too_long_the_setting_is_named() -> None:
    with pytest.raises(MedcotError, match=r"No held-out row has at most 10 tokens \(5 are longer\)"):
        held_out_texts(tokenizer("bytes"), SPLITS, 10)


def test_the_projects_passages_are_twenty_of_each_language() -> None:
    passages = read_passages(project_root() / PerplexitySettings().general_texts)
    assert [passage.language for passage in passages] == ["zh"] * 20 + ["en"] * 20
    assert len({passage.id for passage in passages}) == len({passage.text for passage in passages}) == 40


def test_a_passage_id_that_stands_twice_is_named(tmp_path: Path) -> None:
    line = '{"id": "zh-1", "language": "zh", "text": "河流"}\n'
    (tmp_path / "passages.jsonl").write_text(line * 2, encoding="utf-8")
    with pytest.raises(MedcotError, match="line 2: the id zh-1 appears twice"):
        read_passages(tmp_path / "passages.jsonl")


def test_a_line_that_is_no_passage_is_named(tmp_path: Path) -> None:
    path = tmp_path / "passages.jsonl"
    path.write_text(json.dumps({"id": "a", "language": "zh"}) + "\n", encoding="utf-8")
    with pytest.raises(MedcotError, match=r"passages.jsonl, line 1: not a passage"):
        read_passages(path)
