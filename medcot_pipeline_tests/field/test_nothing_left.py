"""Where no row is left, it is said what took them."""

import json
from pathlib import Path

import pytest

from medcot_pipeline.settings import NormalizeSettings, Settings
from medcot_pipeline.support.errors import MedcotError
from medcot_pipeline_tests.support.corpus_chain import (
    lines,
    make_corpus,
    make_raw,
    record,
    rows_of,
    texts,
    workspace_over,
)


def complaint(folder: Path, content: str, settings: Settings | None = None, **source: float) -> str:
    (folder / "rows.jsonl").write_text(content, encoding="utf-8")
    with pytest.raises(MedcotError) as raised:
        make_corpus(workspace_over(folder / "rows.jsonl", folder / "data", settings, **source))
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_the_rule_that_dropped_every_row_is_named_with_its_count_and_setting(tmp_path: Path) -> None:
    """Staged after hiyouga/LlamaFactory issue 6991: which setting makes the number of rows shrink so?"""
    pictures = [record(number) | {"Question": f"如图所示，第{number}位患者怎么办？"} for number in range(3)]
    said = complaint(tmp_path, lines(*pictures, record(4) | {"Response": "\u200b"}))
    assert "0 rows. Most rows, 3 of 4, were dropped by needs_image (the question refers to a picture" in said
    assert "see MEDCOT_NORMALIZE__ACTIONS__NEEDS_IMAGE." in said


def test_a_least_length_that_nothing_reaches_is_named_with_its_settings(tmp_path: Path) -> None:
    """Staged after OpenNMT/OpenNMT-py issue 1263: a length by default drops rows without a word."""
    said = complaint(tmp_path, lines(record(1), record(2)), Settings(normalize=NormalizeSettings(min_answer_chars=500)))
    assert "Most rows, 2 of 2, were dropped by too_short" in said
    assert "MEDCOT_NORMALIZE__ACTIONS__TOO_SHORT or the least lengths in MEDCOT_NORMALIZE__MIN_..._CHARS" in said


def test_a_source_without_a_usable_row_says_why_however_many_rejects_are_allowed(tmp_path: Path) -> None:
    """Staged after clovaai/deep-text-recognition-benchmark issue 52: "num samples: 0", and no more."""
    empty = [record(number) | {"Response": ""} for number in range(3)]
    said = complaint(tmp_path, lines(*empty), max_reject_rate=1.0)
    assert 'rows.jsonl, line 1: field "Response" is empty. 3 of 3 rows cannot be used. A readable record has' in said


def test_empty_splits_say_how_many_groups_are_needed_and_what_took_the_rows(tmp_path: Path) -> None:
    """Staged after transformerlab/transformerlab-app issue 21: no test split, and an error that does not say why."""
    short = [record(number) | {"Question": f"热{number}？"} for number in range(5)]
    said = complaint(tmp_path, lines(record(1), record(1), *short))
    assert "validation 0, test 0 rows. They are in 1 groups of like questions; with 3 or more every split" in said
    assert "Most rows, 5 of 5, were dropped by too_short" in said
    assert "1 rows were duplicates." in said


def test_a_reasoning_in_think_tags_is_unwrapped_and_counted(tmp_path: Path) -> None:
    """Staged after field reports: a distilled reasoning that kept its tags."""
    wrapped = [record(n) | {"Complex_CoT": f"<think>\n{texts(n)[1]}\n</think>\n"} for n in range(6)]
    twice = record(7) | {"Complex_CoT": f"<think>{texts(7)[1]}</think>再想。<think>完。</think>"}
    (tmp_path / "rows.jsonl").write_text(lines(*wrapped, twice, record(8), record(9)), encoding="utf-8")
    artifact = make_corpus(workspace_over(tmp_path / "rows.jsonl", tmp_path / "data"))
    assert sorted(rows_of(artifact)) == sorted(texts(number) for number in (*range(6), 8, 9))
    rules = json.loads((artifact / "aside" / "summary.json").read_text(encoding="utf-8"))["rules"]
    counts = {rule["rule"]: (rule["action"], rule["rows"]) for rule in rules}
    assert counts["think_around_reasoning"] == ("convert", 6)
    assert counts["chat_tokens"] == ("drop", 1)


def test_raw_rows_keep_the_tags(tmp_path: Path) -> None:
    """Staged after field reports."""
    (tmp_path / "rows.jsonl").write_text(lines(record(1) | {"Complex_CoT": "<think>想想。</think>"}), encoding="utf-8")
    artifact = make_raw(workspace_over(tmp_path / "rows.jsonl", tmp_path / "data"))
    assert rows_of(artifact)[0][1] == "<think>想想。</think>"
