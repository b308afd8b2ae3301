import json
from pathlib import Path

import polars as pl
import pytest

from medcot_pipeline.chat import encode_row
from medcot_pipeline.chat.r1_tokenizer import r1_distill_tokenizer
from medcot_pipeline.datasets.sft import SftDataset, build_sft_dataset, format_problems
from medcot_pipeline.settings import SftSettings

ROWS = pl.DataFrame(
    {
        "row_id": ["row-1", "row-2", "row-3"],
        "question": ["腹痛1天，\n压痛在右下腹。诊断？", "What does “fever” mean?", "血糖 11.2mmol/L，怎么办？"],
        "reasoning": ["嗯，右下腹……\n\n阑尾炎。", "A long thought. " * 60, " 先复查。 "],
        "answer": ["急性阑尾炎。", "A temperature above 38 ℃.", "复查空腹血糖。\n控制饮食。"],
    }
)


def build(limit: int = 2048) -> SftDataset:
    return build_sft_dataset(ROWS, SftSettings(max_tokens=limit), lambda done, total: None)


@pytest.fixture(scope="module")
def dataset() -> SftDataset:
    return build()


@pytest.fixture
def written(dataset: SftDataset, tmp_path: Path) -> Path:
    dataset.write(tmp_path)
    return tmp_path


def test_med_o1_is_an_array_of_input_and_output(written: Path) -> None:
    assert json.loads((written / "med_o1.json").read_text(encoding="utf-8")) == [
        {
            "input": "腹痛1天，\n压痛在右下腹。诊断？",
            "output": "<think>\n嗯，右下腹……\n\n阑尾炎。\n</think>\n\n急性阑尾炎。",
        },
        {
            "input": "What does “fever” mean?",
            "output": f"<think>\n{('A long thought. ' * 60).strip()}\n</think>\n\nA temperature above 38 ℃.",
        },
        {
            "input": "血糖 11.2mmol/L，怎么办？",
            "output": "<think>\n先复查。\n</think>\n\n复查空腹血糖。\n控制饮食。",
        },
    ]


def test_dataset_info_registers_med_o1_for_llama_factory(written: Path) -> None:
    assert json.loads((written / "dataset_info.json").read_text(encoding="utf-8")) == {
        "med_o1": {"file_name": "med_o1.json", "columns": {"prompt": "input", "response": "output"}}
    }


def test_chinese_is_readable_in_the_file(written: Path) -> None:
    assert "急性阑尾炎。" in (written / "med_o1.json").read_text(encoding="utf-8")


def test_the_frames_are_written_beside_it(written: Path, dataset: SftDataset) -> None:
    assert pl.read_parquet(written / "rows.parquet").equals(dataset.rows)
    assert pl.read_parquet(written / "too_long.parquet").equals(dataset.too_long)


def test_token_lengths_are_those_of_the_row_as_it_is_trained(dataset: SftDataset) -> None:
    encoded = [encode_row(r1_distill_tokenizer(), *row[1:]) for row in ROWS.iter_rows()]
    assert dataset.rows.select("tokens_question", "tokens_reasoning", "tokens_answer", "tokens").rows() == [
        (len(row.prompt), len(row.reasoning), len(row.answer), len(row.input_ids)) for row in encoded
    ]


def test_rows_that_are_too_long_are_set_apart_and_never_cut() -> None:
    dataset = build(limit=100)
    assert dataset.rows.select(ROWS.columns).equals(ROWS.filter(pl.col("row_id") != "row-2"))
    assert dataset.too_long.select(ROWS.columns).equals(ROWS.filter(pl.col("row_id") == "row-2"))


def test_a_row_of_just_the_maximum_stays(dataset: SftDataset) -> None:
    longest = max(dataset.rows["tokens"].to_list())
    assert build(limit=longest).too_long.is_empty()
    assert build(limit=longest - 1).too_long["row_id"].to_list() == ["row-2"]


def test_no_rows_give_an_empty_array(tmp_path: Path) -> None:
    build_sft_dataset(ROWS.clear(), SftSettings(), lambda done, total: None).write(tmp_path)
    assert json.loads((tmp_path / "med_o1.json").read_text()) == []


def test_progress_is_told_of_every_row() -> None:
    told: list[tuple[int, int]] = []
    build_sft_dataset(ROWS, SftSettings(), lambda done, total: told.append((done, total)))
    assert told == [(1, 3), (2, 3), (3, 3)]


def records(written: Path) -> list[dict[str, str]]:
    loaded: list[dict[str, str]] = json.loads((written / "med_o1.json").read_text(encoding="utf-8"))
    return loaded


def test_what_was_written_has_no_problem(written: Path) -> None:
    assert format_problems(records(written), ROWS) == []


@pytest.mark.parametrize(
    ("field", "old", "new"),
    [
        ("input", "右", "左"),
        ("output", "<think>\n", "<think>"),
        ("output", "\n</think>\n\n", "\n</think>\n"),
        ("output", "嗯，右下腹……\n\n阑尾炎。", ""),
        ("output", "急性", "慢性"),
    ],
)
def test_a_changed_character_is_found(written: Path, field: str, old: str, new: str) -> None:
    changed = records(written)
    changed[0][field] = changed[0][field].replace(old, new, 1)
    assert format_problems(changed, ROWS) == ["row row-1 does not have the form <think> reasoning </think> answer"]


def test_a_lost_record_is_found(written: Path) -> None:
    assert format_problems(records(written)[:2], ROWS) == ["2 records for 3 rows"]


def test_a_second_closing_of_the_reasoning_is_found(tmp_path: Path) -> None:
    rows = ROWS.head(1).with_columns(answer=pl.lit("阑尾炎</think>"))
    build_sft_dataset(rows, SftSettings(), lambda done, total: None).write(tmp_path)
    assert format_problems(records(tmp_path), rows) == [
        "row row-1 does not have the form <think> reasoning </think> answer"
    ]
