"""Splits by group: stable, never empty without need, without leaks."""

import random

import polars as pl
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from medcot_pipeline.corpus.dedup.duplicates import find_near_duplicates
from medcot_pipeline.corpus.splits.assign import SPLITS, assign_splits, leaks, moved_rows
from medcot_pipeline.corpus.splits.leaks import nearest_across_splits
from medcot_pipeline.settings import DedupSettings, SplitSettings
from medcot_pipeline_tests.support.normalized_rows import LONG, rows

SETTINGS = SplitSettings()


def grouped(sizes: dict[str, int]) -> pl.DataFrame:
    """That many rows of each group."""
    records = [(f"{group}-{number}", group) for group, size in sizes.items() for number in range(size)]
    return pl.DataFrame(records, schema={"row_id": pl.String, "group_id": pl.String}, orient="row")


def counts(table: pl.DataFrame) -> dict[str, int]:
    return dict(table.group_by("split").len().iter_rows())


def made_up_rows(n: int, seed: int) -> pl.DataFrame:
    """Rows of random clauses, some of which repeat or resemble others."""
    rng = random.Random(seed)
    words = [
        "咳嗽",
        "咳痰",
        "发热",
        "腹痛",
        "黄疸",
        "水肿",
        "头晕",
        "心悸",
        "盗汗",
        "便血",
        "呕吐",
        "消瘦",
        "乏力",
        "关节痛",
        "皮疹",
    ]
    questions: list[str] = []
    for _ in range(n):
        body = "、".join(rng.sample(words, 6))
        asked = rng.choice(["首选检查", "最可能的诊断"])
        fresh = f"患者{rng.randint(1, 90)}岁，{body}{rng.randint(1, 30)}天，{asked}是什么？"
        questions.append(rng.choice(questions) + "？" if questions and rng.random() < 0.1 else fresh)
    return rows(*questions)


def test_shares_are_kept_within_a_percent_on_many_groups() -> None:
    split = counts(assign_splits(grouped({f"g{n}": 1 for n in range(20_000)}), SETTINGS))
    assert split["train"] == pytest.approx(18_000, abs=200)
    assert split["validation"] == pytest.approx(1_000, abs=200)
    assert split["test"] == pytest.approx(1_000, abs=200)


@given(st.dictionaries(st.text("abcdef", min_size=1, max_size=6), st.integers(1, 9), min_size=1, max_size=40))
@hypothesis_settings(max_examples=80, deadline=None)
def test_a_group_is_in_one_split_and_the_order_of_rows_means_nothing(sizes: dict[str, int]) -> None:
    table = grouped(sizes)
    split = assign_splits(table, SETTINGS)
    assert split.drop("split").equals(table)
    assert split.group_by("group_id").agg(pl.col("split").n_unique())["split"].to_list() == [1] * len(sizes)
    again = assign_splits(table.reverse(), SETTINGS)
    assert again.sort("row_id").equals(split.sort("row_id"))
    if len(sizes) >= 3:
        assert set(split["split"]) == set(SPLITS)


def test_three_groups_are_enough_for_three_splits_and_two_are_not_forced() -> None:
    assert counts(assign_splits(grouped({"a": 4, "b": 1, "c": 1}), SETTINGS)) == {
        "train": 4,
        "validation": 1,
        "test": 1,
    }
    assert sum(counts(assign_splits(grouped({"a": 4, "b": 1}), SETTINGS)).values()) == 5


def test_a_split_of_no_share_gets_no_rows() -> None:
    settings = SplitSettings(train=0.5, validation=0.0, test=0.5)
    assert set(counts(assign_splits(grouped({f"g{n}": 1 for n in range(50)}), settings))) == {"train", "test"}


def test_a_group_larger_than_a_split_goes_to_train_whatever_its_hash() -> None:
    for name in range(60):
        split = assign_splits(grouped({f"giant{name}": 500, **{f"g{n}": 1 for n in range(500)}}), SETTINGS)
        assert set(split.filter(pl.col("group_id") == f"giant{name}")["split"]) == {"train"}


def test_every_row_in_one_group_goes_to_train() -> None:
    assert counts(assign_splits(grouped({"only": 300}), SETTINGS)) == {"train": 300}


def test_no_rows_at_all() -> None:
    assert assign_splits(grouped({}), SETTINGS).columns == ["row_id", "group_id", "split"]


def test_another_salt_is_another_assignment() -> None:
    table = grouped({f"g{n}": 1 for n in range(500)})
    assert not assign_splits(table, SETTINGS).equals(assign_splits(table, SplitSettings(salt="another")))


def test_adding_a_tenth_of_rows_moves_at_most_one_in_a_hundred_of_the_old() -> None:
    every = made_up_rows(3_300, seed=5)
    old = every.sample(3_000, seed=1)
    before = assign_splits(find_near_duplicates(old, DedupSettings()).kept, SETTINGS)
    after = assign_splits(find_near_duplicates(every, DedupSettings()).kept, SETTINGS)
    moved = moved_rows(before, after)
    assert moved.columns == ["row_id", "split_before", "split_now"]
    assert moved.height <= 0.01 * old.height


def test_moved_rows_names_the_rows_of_both_whose_split_changed() -> None:
    before = pl.DataFrame({"row_id": ["a", "b", "gone"], "split": ["train", "test", "train"]})
    now = pl.DataFrame({"row_id": ["b", "a", "new"], "split": ["train", "train", "test"]})
    assert moved_rows(before, now).rows() == [("b", "test", "train")]


def test_no_leak_is_left_after_deduplication_and_splitting() -> None:
    kept = find_near_duplicates(made_up_rows(2_000, seed=9), DedupSettings()).kept
    assert leaks(assign_splits(kept, SETTINGS), DedupSettings()).is_empty()


def test_a_leak_is_found_by_question_by_reasoning_and_by_answer() -> None:
    question = LONG.format(n=62)
    reasoning = "先看年龄和病程，再看体征，最后结合化验逐一排除，" * 3
    answer = "该患者最可能的诊断是慢性阻塞性肺疾病急性加重，建议住院，给予氧疗、支气管舒张剂和抗生素治疗。"
    table = rows(
        {"question": question, "reasoning": reasoning},
        {"question": question.replace("反复咳嗽", "反复咳嗽嗽").replace("近来活动", "近活动"), "answer": answer},
        {"question": "休克的定义是什么？", "reasoning": reasoning.replace("再看", "再再看", 1)},
        {"question": "骨折的急救原则有哪些？", "answer": answer},
        {"question": "骨折的急救原则有哪些"},
    ).with_columns(pl.Series("split", ["train", "test", "validation", "train", "test"]))
    found = leaks(table, DedupSettings()).select("field", "left_id", "right_id").rows()
    assert found == [
        ("question", "r00000", "r00001"),
        ("question", "r00003", "r00004"),
        ("reasoning", "r00000", "r00002"),
        ("answer", "r00001", "r00003"),
    ]


def test_a_near_miss_in_two_splits_is_no_leak_and_rows_outside_the_splits_are_passed_over() -> None:
    question = LONG.format(n=62)
    table = rows(question, LONG.format(n=26), question)
    assert leaks(table.with_columns(pl.Series("split", ["train", "test", "excluded"])), DedupSettings()).is_empty()
    assert leaks(table.with_columns(pl.Series("split", ["train", "train", "test"])), DedupSettings()).height == 1


def test_the_nearest_questions_across_splits_are_named_with_their_similarity() -> None:
    rows = pl.DataFrame(
        {
            "row_id": ["a", "b", "c", "d"],
            "key": ["患者发热咳嗽三天首选检查", "患者发热咳嗽三天首选药物", "骨折后如何固定", "高血压饮食注意什么"],
            "split": ["train", "test", "train", "validation"],
        }
    )
    nearest = nearest_across_splits(rows)
    assert nearest.select("between", "left_id", "right_id").rows() == [("test / train", "a", "b")] or (
        nearest.select("between", "left_id", "right_id").rows() == [("test / train", "b", "a")]
    )
    assert nearest["similarity"][0] == pytest.approx(8 / 12)
