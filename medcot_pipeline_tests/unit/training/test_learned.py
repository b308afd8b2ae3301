"""Which rows an adapter has learned from, told from what its run recorded."""

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from medcot_pipeline.training.learned import LearnedRows, learned_rows
from medcot_pipeline.training.rows import choose_rows
from medcot_pipeline.training.steps.feed import Steps
from medcot_pipeline_tests.support.byte_tokenizer import byte_tokenizer

ROWS_PER_STEP, SEED = 4, 42
FRAME = pl.DataFrame(
    {
        "row_id": [f"row-{number}" for number in range(30)],
        "question": [f"Question {number}?" for number in range(30)],
        "reasoning": ["想一想。" * (1 + number % 5) for number in range(30)],
        "answer": ["多饮水。" for _ in range(30)],
    }
)
RECORDED: dict[str, Any] = {
    "sft.max_tokens": 2048,
    "training.max_row_tokens": 115,
    "training.max_train_tokens": 1500,
    "training.seed": SEED,
}


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return byte_tokenizer()


def chosen(tokenizer: Any) -> Any:
    return choose_rows(tokenizer, FRAME, max_row_tokens=115, max_tokens=1500, seed=SEED)


def adapter(folder: Path, tokenizer: Any, **changes: Any) -> Path:
    """What a run leaves of its summary."""
    rows = chosen(tokenizer)
    steps = -(-len(rows.rows) // ROWS_PER_STEP)
    summary = {
        "rows": len(rows.rows),
        "tokens": rows.tokens,
        "plan": {"rows_per_step": ROWS_PER_STEP},
        "optimizer_steps": steps,
        "best_checkpoint_step": None,
    }
    (folder / "aside").mkdir()
    (folder / "aside" / "training.json").write_text(json.dumps(summary | changes))
    return folder


def learned(folder: Path, tokenizer: Any, **changes: Any) -> LearnedRows:
    found = learned_rows(adapter(folder, tokenizer, **changes), RECORDED, FRAME, tokenizer)
    assert found is not None
    return found


def fed(tokenizer: Any, steps: int) -> set[str]:
    """Ids of the rows in the first steps that the trainer's own data set hands out."""
    rows = chosen(tokenizer)
    ids = {id(row): name for row, name in zip(rows.rows, rows.taken, strict=True)}
    data, epoch, met = Steps(rows.rows, ROWS_PER_STEP, SEED), 0, set[str]()
    while steps > 0:
        data.set_epoch(epoch)
        met |= {ids[id(row)] for number in range(min(steps, len(data))) for row in data[number]}
        steps, epoch = steps - len(data), epoch + 1
    return met


def test_a_whole_epoch_has_met_every_row_that_the_run_chose_and_no_other(tmp_path: Path, tokenizer: Any) -> None:
    found = learned(tmp_path, tokenizer)
    assert found.row_ids == chosen(tokenizer).taken
    assert 0 < len(found.row_ids) < FRAME.height - len(found.too_long), "the budget left rows out"
    assert len(found.too_long) == chosen(tokenizer).too_long > 0


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_rows_after_the_checkpoint_that_was_published_left_nothing(tmp_path: Path, tokenizer: Any, steps: int) -> None:
    found = learned(tmp_path, tokenizer, best_checkpoint_step=steps)
    assert set(found.row_ids) == fed(tokenizer, steps)
    assert len(found.row_ids) == steps * ROWS_PER_STEP


def test_a_run_that_was_stopped_in_its_second_epoch_has_met_all(tmp_path: Path, tokenizer: Any) -> None:
    steps = -(-len(chosen(tokenizer).rows) // ROWS_PER_STEP)
    found = learned(tmp_path, tokenizer, optimizer_steps=steps + 1)
    assert set(found.row_ids) == fed(tokenizer, steps + 1) == set(chosen(tokenizer).taken)


@pytest.mark.parametrize("changes", [{"rows": 3}, {"tokens": 17}])
def test_another_count_than_the_runs_own_is_not_taken_for_it(
    tmp_path: Path, tokenizer: Any, changes: dict[str, int]
) -> None:
    assert learned_rows(adapter(tmp_path, tokenizer, **changes), RECORDED, FRAME, tokenizer) is None
