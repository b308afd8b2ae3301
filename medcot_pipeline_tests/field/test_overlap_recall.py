"""What the overlap screen finds of planted copies: short stems, stems within a longer question, a changed character."""

import random
from collections.abc import Callable

import polars as pl
import pytest

from benchmarks.overlap import KINDS, key
from medcot_pipeline.corpus.overlap.benchmark_files import Benchmark
from medcot_pipeline.corpus.overlap.screen import overlapping_items, screen_benchmark

SHORT = [
    "急性阑尾炎的首选治疗",
    "肾病综合征的诊断标准",
    "小儿腹泻补液的原则是",
    "心肺复苏按压的频率为",
    "糖尿病酮症酸中毒的表现",
    "青霉素过敏性休克首选的药物",
    "治疗癫痫持续状态应首选",
    "新生儿黄疸光疗的指征是",
    "诊断肺结核最可靠的依据是",
    "甲状腺危象时禁用的药物是",
    "下列哪种药物可引起灰婴综合征",
    "慢性阻塞性肺疾病急性加重的常见诱因",
]
OTHERS = [
    "高血压急症应当怎样降压",
    "骨折愈合一般需要多少时间",
    "男，30岁，发热伴咳嗽三天，胸片示右下肺大片致密影，最可能的诊断是什么",
    "首选的药物是什么",
    "急性胰腺炎的首选治疗",
    "肾病综合征的治疗原则",
]
EXAM = Benchmark("exam.jsonl", [f"q{number}" for number in range(len(SHORT))], SHORT)


def corpus(*questions: str) -> pl.DataFrame:
    ids = [f"r{number}" for number in range(len(questions))]
    return pl.DataFrame({"row_id": ids, "split": "train", "key": [key(question) for question in questions]})


@pytest.mark.parametrize(
    ("kind", "verdict"),
    [
        ("equal", "confirmed"),
        ("other marks and options", "confirmed"),
        ("embedded", "flagged"),
        ("one character changed", "flagged"),
    ],
)
def test_every_planted_copy_of_a_short_stem_is_found(kind: str, verdict: str) -> None:
    """Staged after marin-community/marin#6852: short and embedded contamination escaped a screen by n-grams."""
    plant: Callable[[str, random.Random], str] = KINDS[kind]
    rows = corpus(*(plant(stem, random.Random(number)) for number, stem in enumerate(SHORT)))
    hits, too_short = screen_benchmark(rows, EXAM)
    found = {row: (item, said) for row, item, said in hits.select("row_id", "benchmark_item", "verdict").iter_rows()}
    assert found == {f"r{number}": (f"q{number}", verdict) for number in range(len(SHORT))}
    assert too_short == 0
    assert overlapping_items(rows, EXAM) == dict.fromkeys(EXAM.items, verdict)


def test_other_questions_of_the_same_length_are_no_hits() -> None:
    """Staged after marin-community/marin#6852: matching short lines gave 18 % of phantom contamination."""
    hits, _ = screen_benchmark(corpus(*OTHERS), EXAM)
    assert hits.is_empty()


def test_a_hit_by_edits_shows_what_differs_and_takes_no_row_out() -> None:
    """Staged after field reports: 正确 and 错误 make two questions of one, however alike."""
    (hit,) = screen_benchmark(corpus("甲状腺危象时可用的药物是"), EXAM)[0].to_dicts()
    assert (hit["method"], hit["verdict"], hit["benchmark_item"]) == ("edits", "flagged", "q9")
    assert "[禁→可]" in hit["evidence"]
