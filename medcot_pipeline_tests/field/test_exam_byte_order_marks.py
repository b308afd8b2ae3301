"""Files for the evaluation that Windows saved: a byte-order mark is no part of them, other encodings are named."""

import json
from pathlib import Path

import pytest

from medcot_pipeline.evaluation.people.review_file import join_review, load_review
from medcot_pipeline.evaluation.perplexity.texts import read_passages
from medcot_pipeline.support.errors import MedcotError
from medcot_pipeline_tests.support.review_pack import KEY, review

PASSAGE = json.dumps({"id": "a", "language": "zh", "text": "春天来了。"}, ensure_ascii=False)


def test_a_verdict_file_with_a_byte_order_mark_is_the_same_review(tmp_path: Path) -> None:
    """Staged after prancer-io/cloud-validation-framework#237 and WangRongsheng/MedQA-ChatGLM#2: BOM before JSON."""
    path = tmp_path / "review.json"
    path.write_text(json.dumps(review(), ensure_ascii=False), encoding="utf-8-sig")
    assert load_review(path) == review()
    assert join_review(load_review(path), [KEY], path).missing == 22


def test_general_passages_with_a_byte_order_mark_are_read(tmp_path: Path) -> None:
    """Staged after huggingface/datasets#8241: a BOM before the first line."""
    path = tmp_path / "passages.jsonl"
    path.write_text(PASSAGE, encoding="utf-8-sig")
    assert [each.text for each in read_passages(path)] == ["春天来了。"]


def test_general_passages_in_another_encoding_are_named(tmp_path: Path) -> None:
    """Staged after thuml/Time-Series-Library#525: a file in GBK ended in a UnicodeDecodeError."""
    path = tmp_path / "passages.jsonl"
    path.write_bytes(PASSAGE.encode("gbk"))
    with pytest.raises(MedcotError, match=r"passages\.jsonl, line 1: not UTF-8"):
        read_passages(path)
