"""Rows that are in an evaluation benchmark, and rows that only look like it."""

import json
from pathlib import Path

import polars as pl
import pytest

from medcot_pipeline.corpus.overlap.screen import screen_overlap
from medcot_pipeline.support.errors import MedcotError
from medcot_pipeline_tests.support.normalized_rows import rows

STEM = "男，58岁，突发胸骨后压榨样疼痛两小时，心电图示下壁导联抬高，此时首选的处理措施是"
OTHER = "女，23岁，停经六周伴阴道少量流血一天，尿妊娠试验阳性，为明确诊断首选的检查是"


def corpus(*questions: str) -> pl.DataFrame:
    return rows(*questions).with_columns(pl.lit("train").alias("split"))


def write(folder: Path, name: str, records: list[dict[str, str]]) -> Path:
    path = folder / name
    match path.suffix:
        case ".jsonl":
            path.write_text(
                "\n".join(json.dumps(record, ensure_ascii=False) for record in records) + "\n", encoding="utf-8"
            )
        case ".json":
            path.write_text(json.dumps(records, ensure_ascii=False), encoding="utf-8")
        case ".csv":
            pl.DataFrame(records).write_csv(path)
        case _:
            pl.DataFrame(records).write_parquet(path)
    return path


@pytest.mark.parametrize("name", ["exam.jsonl", "exam.json", "exam.csv", "exam.parquet"])
def test_an_equal_stem_is_confirmed_in_every_format_whatever_options_and_punctuation(tmp_path: Path, name: str) -> None:
    write(tmp_path, name, [{"id": "q1", "question": OTHER}, {"id": "q2", "question": STEM + "（ ）。"}])
    found = screen_overlap(corpus(f"{STEM}？\nA. 溶栓\nB. 观察", "糖尿病的诊断标准是什么？"), tmp_path)
    hit = found.hits.row(0, named=True)
    assert found.hits.height == 1
    assert (hit["row_id"], hit["split"], hit["benchmark"], hit["benchmark_item"]) == ("r00000", "train", name, "q2")
    assert (hit["method"], hit["verdict"], hit["containment"], hit["jaccard"]) == ("key", "confirmed", 1.0, 1.0)
    assert hit["evidence"].startswith("男，58岁")
    assert found.summary.rows() == [(name, 2, 0, 0, 0, 0, 1, "")]


def test_a_reworded_stem_is_confirmed_by_jaccard_with_the_difference_as_evidence(tmp_path: Path) -> None:
    write(tmp_path, "exam.jsonl", [{"question": STEM}])
    hit = screen_overlap(corpus(STEM.replace("此时首选", "此时应首选")), tmp_path).hits.row(0, named=True)
    assert (hit["method"], hit["verdict"]) == ("jaccard", "confirmed")
    assert hit["benchmark_item"] == "#1"
    assert "[→应]" in hit["evidence"]


def test_a_stem_within_a_longer_question_is_flagged_and_not_confirmed(tmp_path: Path) -> None:
    write(tmp_path, "exam.jsonl", [{"question": STEM}])
    longer = (
        "既往高血压病史二十年，长期吸烟，平素服药不规律，家族中父亲死于心脏病。" + STEM + "，并请说明理由与随访安排"
    )
    hit = screen_overlap(corpus(longer), tmp_path).hits.row(0, named=True)
    assert (hit["method"], hit["verdict"]) == ("containment", "flagged")
    assert hit["containment"] >= 0.7 > hit["jaccard"]


def test_unlike_questions_are_no_hits(tmp_path: Path) -> None:
    write(tmp_path, "exam.jsonl", [{"question": STEM}])
    found = screen_overlap(corpus(OTHER, "首选的处理措施是什么？"), tmp_path)
    assert found.hits.is_empty()
    assert found.summary["flagged"].to_list() == [0]


def test_short_keys_are_skipped_and_counted(tmp_path: Path) -> None:
    write(tmp_path, "exam.jsonl", [{"question": "休克是"}, {"question": ""}, {"question": STEM}])
    found = screen_overlap(corpus("休克是", STEM), tmp_path)
    assert found.hits["row_id"].to_list() == ["r00001"]
    assert found.summary["too_short"].to_list() == [2]


def test_a_row_has_its_strongest_hit_in_each_benchmark(tmp_path: Path) -> None:
    write(tmp_path, "a.jsonl", [{"question": STEM.replace("两小时", "三小时")}, {"question": STEM}])
    write(tmp_path, "b.jsonl", [{"question": STEM}])
    hits = screen_overlap(corpus(STEM), tmp_path).hits
    assert hits.select("benchmark", "benchmark_item", "method").rows() == [
        ("a.jsonl", "#2", "key"),
        ("b.jsonl", "#1", "key"),
    ]


def test_a_file_may_have_a_field_of_its_own_name(tmp_path: Path) -> None:
    write(tmp_path, "a.jsonl", [{"question": STEM}])
    write(tmp_path, "b.jsonl", [{"prompt": STEM}])
    assert screen_overlap(corpus(STEM), tmp_path, "question", {"b.jsonl": "prompt"}).hits.height == 2


@pytest.mark.parametrize("name", ["exam.jsonl", "exam.json", "exam.csv", "exam.parquet"])
def test_a_file_without_the_field_is_one_line_that_names_the_file_and_its_fields(tmp_path: Path, name: str) -> None:
    path = write(tmp_path, name, [{"stem": STEM, "answer": "C"}])
    with pytest.raises(MedcotError) as error:
        screen_overlap(corpus(STEM), tmp_path)
    assert str(path) in str(error.value)
    assert 'no field "question" (fields: answer, stem)' in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.json", "{"),
        ("a.json", '{"question": "x"}'),
        ("a.jsonl", '{"question": 1}\nno json'),
        ("a.parquet", "no parquet"),
        ("a.jsonl", "[1]"),
    ],
)
def test_a_broken_file_is_one_line_that_names_it(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(MedcotError) as error:
        screen_overlap(corpus(STEM), tmp_path)
    assert str(tmp_path / name) in str(error.value)
    assert "\n" not in str(error.value)


def test_a_folder_that_is_absent_or_has_no_benchmark_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(MedcotError, match="no such folder"):
        screen_overlap(corpus(STEM), tmp_path / "absent")
    (tmp_path / "notes.txt").write_text("nothing", encoding="utf-8")
    with pytest.raises(MedcotError, match=r"no \.json"):
        screen_overlap(corpus(STEM), tmp_path)


def test_no_rows_and_an_empty_benchmark(tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").write_text("", encoding="utf-8")
    found = screen_overlap(corpus(), tmp_path)
    assert found.hits.is_empty()
    assert found.summary.rows() == [("empty.jsonl", 0, 0, 0, 0, 0, 0, "")]
