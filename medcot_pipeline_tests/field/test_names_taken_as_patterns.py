"""A name is a name: nothing in it is a pattern."""

from pathlib import Path

import polars as pl
import pytest

from medcot_pipeline.corpus.overlap.screen import screen_overlap
from medcot_pipeline_tests.support.corpus_chain import make_corpus, make_raw, record, rows_of, texts, workspace_over
from medcot_pipeline_tests.support.normalized_rows import rows


@pytest.mark.parametrize("name", ["rows[1].parquet", "rows?.parquet", "row*.parquet"])
def test_the_file_of_that_name_is_read_and_not_the_one_that_a_pattern_would_match(tmp_path: Path, name: str) -> None:
    """Staged after pola-rs/polars issue 12876: a file with brackets in its name is not found, or another one is."""
    pl.DataFrame([record(1)]).write_parquet(tmp_path / "rows1.parquet")
    with (tmp_path / name).open("wb") as file:
        pl.DataFrame([record(2)]).write_parquet(file)
    assert rows_of(make_raw(workspace_over(tmp_path / name, tmp_path / "data"))) == [texts(2)]


@pytest.mark.parametrize("name", ["[llm] data", "all * of ?"])
def test_the_corpus_is_made_whole_in_a_data_folder_of_any_name(tmp_path: Path, name: str) -> None:
    """Staged after pola-rs/polars issue 17822, where folders that an orchestrator names cannot be read."""
    source = tmp_path / name / "rows.parquet"
    source.parent.mkdir()
    with source.open("wb") as file:
        pl.DataFrame([record(number) for number in range(12)]).write_parquet(file)
    assert len(rows_of(make_corpus(workspace_over(source, tmp_path / name / "data")))) == 12


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_benchmark_with_brackets_in_its_name_is_screened_itself(tmp_path: Path, suffix: str) -> None:
    """Staged after pola-rs/polars issue 19801: the same of CSV."""
    asked = "男，58岁，突发胸骨后压榨样疼痛两小时，心电图示下壁导联抬高，此时首选的处理措施是"
    for name, question in ((f"exam[1]{suffix}", asked), (f"exam1{suffix}", "一个别的题目，与训练行毫无关系的那种")):
        with (tmp_path / name).open("wb") as file:
            table = pl.DataFrame([{"question": question}])
            table.write_csv(file) if suffix == ".csv" else table.write_parquet(file)
    found = screen_overlap(rows(f"{asked}？").with_columns(split=pl.lit("train")), tmp_path).summary
    assert dict(found.select("benchmark", "confirmed").iter_rows()) == {f"exam1{suffix}": 0, f"exam[1]{suffix}": 1}
