import dataclasses
from pathlib import Path

import pytest

from medcot_pipeline.models.devices import Device
from medcot_pipeline.models.shape import ModelShape
from medcot_pipeline.settings import TrainingSettings
from medcot_pipeline.support.json_files import read_json, write_json
from medcot_pipeline.training.plan.choose import plan_training
from medcot_pipeline.training.plan.frozen import NAME, FrozenPlan
from medcot_pipeline.training.plan.training_plan import TrainingPlan

SHAPE = ModelShape(
    layers=2, hidden=64, feed_forward=128, heads=4, key_heads=2, head_size=16, vocabulary=1000, tied=True
)
CARD = Device("NVIDIA GeForce RTX 4090", 20.0, varlen_kernel=True)
SETTINGS = TrainingSettings()


def plan(device: Device = CARD) -> TrainingPlan:
    return plan_training(SETTINGS, "hf", SHAPE, [100, 300, 200] * 40, device)


def test_a_resumed_run_takes_the_plan_it_began_with_whatever_memory_is_free_now(tmp_path: Path) -> None:
    begun = plan()
    FrozenPlan.of(SETTINGS, "hf", CARD).write(tmp_path, begun)
    fuller = dataclasses.replace(CARD, memory_gb=3.0)
    said: list[str] = []
    assert FrozenPlan.of(SETTINGS, "hf", fuller).read(tmp_path, said.append) == begun
    assert said == []


@pytest.mark.parametrize(
    ("settings", "engine", "device", "what"),
    [
        (SETTINGS.model_copy(update={"max_gpu_memory_gb": 12.0}), "hf", CARD, "max_gpu_memory_gb was None, is 12.0"),
        (SETTINGS.model_copy(update={"micro_batch_tokens": 900}), "hf", CARD, "micro_batch_tokens was None, is 900"),
        (SETTINGS.model_copy(update={"checkpointing": "all"}), "hf", CARD, "checkpointing was auto, is all"),
        (SETTINGS, "unsloth", CARD, "engine was hf, is unsloth"),
        (SETTINGS, "hf", dataclasses.replace(CARD, name="CPU"), "device was NVIDIA GeForce RTX 4090, is CPU"),
    ],
)
def test_a_plan_for_something_else_is_made_anew_and_says_why(
    tmp_path: Path, settings: TrainingSettings, engine: str, device: Device, what: str
) -> None:
    FrozenPlan.of(SETTINGS, "hf", CARD).write(tmp_path, plan())
    said: list[str] = []
    assert FrozenPlan.of(settings, engine, device).read(tmp_path, said.append) is None  # type: ignore[arg-type]
    assert said == [f"planned again ({what}): every step keeps its rows, in other micro-batches"]


@pytest.mark.parametrize("text", [None, "", "{}", '{"made_for": {}, "plan": {"widths": [1]}}'])
def test_a_plan_that_is_lost_or_half_written_is_made_anew_with_a_word(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / NAME).write_text(text)
    said: list[str] = []
    assert FrozenPlan.of(SETTINGS, "hf", CARD).read(tmp_path, said.append) is None
    assert said == [f"{tmp_path / NAME} is missing or incomplete: the run is planned again"]


def test_a_plan_holds_for_another_number_of_ranks_whose_time_was_not_predicted(tmp_path: Path) -> None:
    begun = plan_training(SETTINGS, "hf", SHAPE, [100, 300, 200] * 40, CARD, 2)
    FrozenPlan.of(SETTINGS, "hf", CARD).write(tmp_path, begun)
    kept = FrozenPlan.of(SETTINGS, "hf", CARD).read(tmp_path, pytest.fail)
    assert kept == begun
    assert begun.on_ranks(2) == begun
    assert begun.on_ranks(4) == dataclasses.replace(begun, ranks=4, predicted_seconds=None)


def test_the_plan_of_a_run_that_an_earlier_release_began_is_that_of_one_rank(tmp_path: Path) -> None:
    FrozenPlan.of(SETTINGS, "hf", CARD).write(tmp_path, plan())
    kept = read_json(tmp_path / NAME)
    del kept["plan"]["ranks"]
    write_json(tmp_path / NAME, kept)
    assert FrozenPlan.of(SETTINGS, "hf", CARD).read(tmp_path, pytest.fail) == plan()
