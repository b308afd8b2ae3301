"""What the page plots of trainings."""

from typing import Any

from medcot_pipeline.training.stages import training_numbers

CURVES: dict[str, list[list[float]]] = {
    "loss": [[1, 2.5], [2, 2.0]],
    "validation": [[2, 2.25]],
    "seconds": [[1, 10.0], [2, 21.5]],
    "tokens_per_second": [[1, 100.0], [2, 120.0], [3, 900.0]],
    "gpu_memory_gb": [[1, 7.5], [2, 9.25]],
}


def summary(**curves: list[list[float]]) -> dict[str, Any]:
    return {"curves": CURVES | curves, "energy_kwh": None}


def test_a_training_has_its_losses_speed_time_and_memory() -> None:
    assert training_numbers(summary()) == {
        "final_loss": 2.0,
        "validation_loss": 2.25,
        "tokens_per_second": 120.0,
        "train_seconds": 21.5,
        "energy_kwh": None,
        "gpu_memory_gb": 9.25,
    }


def test_what_was_not_measured_is_left_open() -> None:
    found = training_numbers(summary(validation=[], seconds=[], tokens_per_second=[], gpu_memory_gb=[]))
    assert {name for name, value in found.items() if value is not None} == {"final_loss"}
