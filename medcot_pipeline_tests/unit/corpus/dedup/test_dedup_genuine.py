"""Genuine questions, read where they are and never copied: no duplicate across splits, few rows that move."""

import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import polars as pl

from medcot_pipeline.corpus.dedup.duplicates import find_near_duplicates
from medcot_pipeline.corpus.normalize.text import normalize_text
from medcot_pipeline.corpus.overlap.screen import screen_overlap
from medcot_pipeline.corpus.splits.assign import assign_splits, leaks, moved_rows
from medcot_pipeline.settings import DedupSettings, SplitSettings
from medcot_pipeline_tests.support.genuine import FOLDER, genuine_rows_only
from medcot_pipeline_tests.support.normalized_rows import rows

DEDUP, SPLITS = DedupSettings(), SplitSettings()
pytestmark = genuine_rows_only
ONE_THREAD = """
import hashlib, sys
import polars as pl
from medcot_pipeline.corpus.dedup.duplicates import find_near_duplicates
from medcot_pipeline.corpus.splits.assign import assign_splits
from medcot_pipeline.settings import DedupSettings, SplitSettings
outcome = find_near_duplicates(pl.read_parquet(sys.argv[1]), DedupSettings())
split = assign_splits(outcome.kept, SplitSettings())
for table in (split, outcome.removed, outcome.pairs_to_show):
    print(hashlib.sha256(table.write_ndjson().encode()).hexdigest())
"""


@cache
def genuine() -> pl.DataFrame:
    """Both genuine zh files, normalised."""
    full = json.loads((FOLDER / "medical_o1_zh.json").read_text(encoding="utf-8"))
    lines = (FOLDER / "medical_o1_zh_questions.jsonl").read_text(encoding="utf-8").splitlines()
    records = [
        {"question": row["Question"], "reasoning": row["Complex_CoT"], "answer": row["Response"]} for row in full
    ] + [{"question": json.loads(line)["prompt"]} for line in lines]
    return rows(*[{name: normalize_text(text) for name, text in record.items()} for record in records])


def test_no_exact_or_delete_tier_pair_is_across_splits() -> None:
    split = assign_splits(find_near_duplicates(genuine(), DEDUP).kept, SPLITS)
    assert set(split["split"]) == {"train", "validation", "test"}
    assert leaks(split, DEDUP).is_empty()


def test_a_random_split_of_the_rows_as_they_come_does_leak() -> None:
    shuffled = genuine().sample(fraction=1, shuffle=True, seed=3)
    naive = shuffled.with_columns(
        pl.when(pl.int_range(pl.len()) < 0.9 * pl.len()).then(pl.lit("train")).otherwise(pl.lit("test")).alias("split")
    )
    assert leaks(naive, DEDUP).height >= 10


def test_every_removed_question_equals_the_one_that_stands_for_it_but_for_marks() -> None:
    outcome = find_near_duplicates(genuine(), DEDUP)
    assert outcome.removed.height >= 200
    assert set(outcome.removed["reason"]) == {"exact"}


def test_adding_a_tenth_of_rows_moves_at_most_one_in_a_hundred_of_the_old() -> None:
    old = genuine().sample(fraction=1 / 1.1, seed=11)
    before = assign_splits(find_near_duplicates(old, DEDUP).kept, SPLITS)
    after = assign_splits(find_near_duplicates(genuine(), DEDUP).kept, SPLITS)
    assert moved_rows(before, after).height <= 0.01 * old.height


def test_another_order_and_another_number_of_threads_give_the_same_bytes(tmp_path: Path) -> None:
    one = _digests(genuine(), tmp_path / "rows.parquet", "1")
    two = _digests(genuine().reverse(), tmp_path / "reversed.parquet", "2")
    assert one == two
    assert len(one.split()) == 3


def test_some_rows_are_in_the_benchmark_that_the_data_set_was_made_beside(tmp_path: Path) -> None:
    (tmp_path / "cmexam.jsonl").symlink_to(FOLDER / "cmexam_val_half.jsonl")
    split = assign_splits(find_near_duplicates(genuine(), DEDUP).kept, SPLITS)
    summary = screen_overlap(split, tmp_path).summary.row(0, named=True)
    assert 1 <= summary["confirmed"] <= 20
    assert summary["flagged"] <= 20


def _digests(table: pl.DataFrame, path: Path, threads: str) -> str:
    table.write_parquet(path)
    environment = os.environ | {
        "POLARS_MAX_THREADS": threads,
        "RAYON_NUM_THREADS": threads,
        "OMP_NUM_THREADS": threads,
        "PYTHONHASHSEED": threads,
    }
    done = subprocess.run(
        [sys.executable, "-c", ONE_THREAD, str(path)], env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout
