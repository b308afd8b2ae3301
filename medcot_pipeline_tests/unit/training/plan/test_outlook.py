import dataclasses
import re
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from medcot_pipeline.models.shape import base_shape
from medcot_pipeline.pipeline.workspace import Workspace
from medcot_pipeline.settings import ComputeSettings, Settings, load_settings
from medcot_pipeline.support.errors import MedcotError
from medcot_pipeline.support.json_files import write_json
from medcot_pipeline.training.plan.outlook import forecast_training, training_lines
from medcot_pipeline.training.plan.training_plan import TrainingPlan
from medcot_pipeline_tests.support import planning
from medcot_pipeline_tests.support.artifacts import publish
from medcot_pipeline_tests.support.planning import CORPUS, change, identity_of, make

REAL = load_settings("rtx4090")
SEVEN_B = base_shape(REAL.base_model, None)


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


def test_several_gpus_are_planned_for_on_a_machine_without_one(tmp_path: Path) -> None:
    two = REAL.model_copy(update={"compute": ComputeSettings(gpus=2)})
    alone, together = forecast(tmp_path, [500] * 2000), forecast(tmp_path, [500] * 2000, two)
    assert alone is not None and together is not None
    assert (alone.ranks, together.ranks) == (1, 2)
    assert alone.predicted_seconds is not None and together.predicted_seconds is not None
    assert together.predicted_seconds < 0.6 * alone.predicted_seconds


def test_more_gpus_than_are_visible_are_not_planned_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("medcot_pipeline.compute.gpus.DEVICES", tmp_path)
    demo = load_settings("demo").model_copy(update={"compute": ComputeSettings(gpus=2)})
    with pytest.raises(MedcotError, match="MEDCOT_COMPUTE__GPUS=2, but no GPU is visible here"):
        forecast(tmp_path, [500] * 100, demo)


def test_rows_that_the_run_will_leave_out_are_not_planned_for(tmp_path: Path) -> None:
    plan = forecast(tmp_path, [300, 900, 300, 300, 300], max_row_tokens=600, max_train_tokens=1000)
    assert plan is not None
    assert (plan.tokens, plan.longest_row) == (900, 300)


def test_no_row_that_fits_is_no_plan(tmp_path: Path) -> None:
    assert forecast(tmp_path, [900], max_row_tokens=600) is None


def test_rows_that_are_not_there_yet_are_planned_for_at_their_longest() -> None:
    assert SEVEN_B is not None
    plan = forecast_training(REAL, None, SEVEN_B, gpu_here=False)
    assert plan is not None
    assert (plan.steps, plan.rows_per_step, plan.longest_row) == (1, 48, 2048)
    assert plan.memory_limit_gb is not None and plan.predicted_memory_gb is not None
    assert plan.predicted_memory_gb < plan.memory_limit_gb


workspace = planning.workspace


def test_the_training_run_is_planned_once_its_inputs_are_there(workspace: Workspace) -> None:
    assert training_lines(workspace, planning.plan(workspace)) == ["not planned yet: needs sft_dataset and base_model"]


SMALL = {
    "num_hidden_layers": 30,
    "hidden_size": 576,
    "intermediate_size": 1536,
    "num_attention_heads": 9,
    "num_key_value_heads": 3,
    "vocab_size": 49152,
    "tie_word_embeddings": True,
}
"""What a demo leaves: SmolLM2's shape."""
ROWS = pl.DataFrame({"row_id": [f"row-{number}" for number in range(120)], "tokens": [400] * 120})


def with_a_demo(workspace: Workspace) -> Workspace:
    """The workspace once the inputs of training are made of a small base and few rows."""
    write_json(workspace.root / "model" / "config.json", SMALL)
    make(workspace, *CORPUS)
    rows = identity_of(workspace, "sft_dataset")
    publish(workspace.store, rows, lambda folder: ROWS.write_parquet(folder / "rows.parquet"))
    location = {"folder": str(workspace.root / "model")}
    publish(workspace.store, identity_of(workspace, "base_model"), {"aside/location.json": location})
    return workspace


def planned_for_a_4090(workspace: Workspace, **base: Any) -> str:
    """The training plan of the profile `rtx4090` over what is there, without a GPU."""
    real = load_settings("rtx4090")
    changed = {"training": real.training, **({"base_model": real.base_model.model_copy(update=base)} if base else {})}
    settings = workspace.settings.model_copy(update=changed)
    other = dataclasses.replace(workspace, settings=settings)
    return "\n".join(training_lines(other, planning.plan(other)))


@pytest.fixture
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """What `medcot plan` says where there is none, on a machine with one too."""
    monkeypatch.setattr("medcot_pipeline.training.plan.outlook.gpu_is_here", lambda: False)


@pytest.mark.usefixtures("no_gpu")
def test_training_is_planned_for_the_base_that_is_wanted_and_not_for_the_one_that_is_current(
    workspace: Workspace,
) -> None:
    demo = with_a_demo(workspace)
    small, large = (
        planned_for_a_4090(demo),
        planned_for_a_4090(demo, repository="deepseek-ai/DeepSeek-R1-Distill-Qwen-7B"),
    )
    assert "3 optimiser steps of 48 rows, 48,000 tokens" in small
    assert "3 optimiser steps of 48 rows, 48,000 tokens" in large
    peaks = [float(re.findall(r"peak ([\d.]+) of 24.0 GB", text)[0]) for text in (small, large)]
    assert peaks[0] < 8 < peaks[1], "7 billion weights in 4 bits, and embeddings of 2 GB"


@pytest.mark.usefixtures("no_gpu")
def test_rows_of_a_stale_data_set_are_not_planned_for_and_the_plan_says_what_is_not_known(workspace: Workspace) -> None:
    demo = with_a_demo(workspace)
    other = change(demo, "sft", max_tokens=1024)
    first, second = planned_for_a_4090(other).splitlines()
    assert first == (
        "unsloth on NVIDIA GeForce RTX 4090: 48 rows in an optimiser step; "
        "how many rows there will be is not known yet (sft_dataset: stale)"
    )
    assert second.startswith("for rows of 1,024 tokens, the longest allowed: micro-batches of packed rows, ")
    assert "about" not in second, "no duration is known"
    waiting = planned_for_a_4090(change(demo, "dedup", jaccard=0.7))
    assert "(sft_dataset: waiting)" in waiting and "48,000" not in waiting


@pytest.mark.usefixtures("no_gpu")
def test_a_data_set_that_was_made_before_and_will_be_used_again_is_planned_for(workspace: Workspace) -> None:
    demo = with_a_demo(workspace)
    make(change(demo, "sft", max_tokens=1024), "sft_dataset")
    assert "48,000 tokens" in planned_for_a_4090(demo)


def test_a_base_of_unknown_shape_that_is_not_there_leaves_the_plan_open(workspace: Workspace) -> None:
    demo = with_a_demo(workspace)
    assert planned_for_a_4090(demo, repository="someone/another-7b") == "not planned yet: needs base_model"


@pytest.mark.usefixtures("no_gpu")
def test_a_base_in_a_folder_is_planned_for_before_it_is_recorded(workspace: Workspace) -> None:
    write_json(workspace.root / "model" / "config.json", SMALL)
    assert planned_for_a_4090(workspace).startswith("unsloth on NVIDIA GeForce RTX 4090: 48 rows in an optimiser step;")
