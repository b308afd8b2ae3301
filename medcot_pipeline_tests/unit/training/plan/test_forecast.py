from pathlib import Path
from typing import Any

import polars as pl
import pytest

from medcot_pipeline.settings import Settings, load_settings
from medcot_pipeline.support.json_files import write_json
from medcot_pipeline.training.plan.forecast import base_shape, forecast_training
from medcot_pipeline.training.plan.memory import KNOWN_SHAPES, ModelShape
from medcot_pipeline.training.plan.planner import TrainingPlan

REAL = load_settings("rtx4090")
SEVEN_B = base_shape(REAL, None)


def forecast(folder: Path, tokens: list[int], settings: Settings = REAL, **training: Any) -> TrainingPlan | None:
    frame = pl.DataFrame({"row_id": [f"row-{number}" for number in range(len(tokens))], "tokens": tokens})
    frame.write_parquet(folder / "rows.parquet")
    changed = settings.model_copy(update={"training": settings.training.model_copy(update=training)})
    assert SEVEN_B is not None
    return forecast_training(changed, folder / "rows.parquet", SEVEN_B, gpu_here=False)


def test_a_profile_with_a_gpu_limit_is_planned_for_that_gpu_without_having_one(tmp_path: Path) -> None:
    plan = forecast(tmp_path, [500] * 100)
    assert plan is not None
    assert (plan.engine, plan.device, plan.memory_limit_gb) == ("unsloth", "NVIDIA GeForce RTX 4090", 24.0)
    assert (plan.steps, plan.tokens, plan.longest_row) == (3, 50_000, 500)


def test_a_profile_without_one_is_planned_for_a_cpu(tmp_path: Path) -> None:
    plan = forecast(tmp_path, [500] * 100, load_settings("demo"))
    assert plan is not None
    assert (plan.engine, plan.device, plan.predicted_seconds) == ("hf", "CPU", None)


def test_rows_that_the_run_will_leave_out_are_not_planned_for(tmp_path: Path) -> None:
    plan = forecast(tmp_path, [300, 900, 300, 300, 300], max_row_tokens=600, max_train_tokens=1000)
    assert plan is not None
    assert (plan.tokens, plan.longest_row) == (900, 300)


def test_no_row_that_fits_is_no_plan(tmp_path: Path) -> None:
    assert forecast(tmp_path, [900], max_row_tokens=600) is None


def test_the_shape_comes_from_the_base_models_folder_where_there_is_one(tmp_path: Path) -> None:
    config = {"num_hidden_layers": 2, "hidden_size": 64, "intermediate_size": 256, "num_attention_heads": 4}
    write_json(tmp_path / "config.json", config | {"vocab_size": 1000})
    assert base_shape(REAL, tmp_path) == ModelShape(2, 64, 256, 4, 4, 16, 1000, tied=False)


def test_an_unknown_base_that_is_not_there_has_no_shape() -> None:
    other = REAL.base_model.model_copy(update={"repository": "someone/another-7b"})
    assert base_shape(REAL.model_copy(update={"base_model": other}), None) is None
    assert base_shape(load_settings("demo"), None) is None


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("Qwen-1.5B", 1_777_088_000),
        ("Qwen-7B", 7_615_616_512),
        ("Llama-8B", 8_030_261_248),
        ("Qwen-14B", 14_770_033_664),
        ("Qwen-32B", 32_763_876_352),
        ("Llama-70B", 70_553_706_496),
    ],
)
def test_a_known_shape_has_as_many_parameters_as_the_model_that_is_published(name: str, parameters: int) -> None:
    shape = KNOWN_SHAPES[f"deepseek-ai/DeepSeek-R1-Distill-{name}"]
    norms = (2 * shape.layers + 1) * shape.hidden
    biases = shape.layers * (shape.heads + 2 * shape.key_heads) * shape.head_size if name.startswith("Qwen") else 0
    assert shape.linear_parameters + 2 * shape.vocabulary * shape.hidden + norms + biases == parameters


def test_rows_that_are_not_there_yet_are_planned_for_at_their_longest() -> None:
    assert SEVEN_B is not None
    plan = forecast_training(REAL, None, SEVEN_B, gpu_here=False)
    assert plan is not None
    assert (plan.steps, plan.rows_per_step, plan.longest_row) == (1, 48, 2048)
    assert plan.memory_limit_gb is not None and plan.predicted_memory_gb is not None
    assert plan.predicted_memory_gb < plan.memory_limit_gb


def test_a_folder_without_a_readable_configuration_has_no_shape(tmp_path: Path) -> None:
    assert base_shape(load_settings("demo"), tmp_path) is None
    (tmp_path / "config.json").write_text("no JSON")
    assert base_shape(load_settings("demo"), tmp_path) is None
