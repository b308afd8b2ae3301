from typing import Any

import pytest

from medcot_pipeline.models.devices import Device, assumed_device
from medcot_pipeline.models.shape import KNOWN_SHAPES
from medcot_pipeline.training.plan.cost import CostModel, Recomputed, operations_per_token
from medcot_pipeline.training.rows import TrainingRow
from medcot_pipeline.training.steps.batches import Cutting

SEVEN_B = KNOWN_SHAPES["deepseek-ai/DeepSeek-R1-Distill-Qwen-7B"]


@pytest.mark.parametrize(
    ("engine", "kind", "layers", "tokens", "measured_gb"),
    [
        ("unsloth", "none", 0, 2048, 13.36),
        ("unsloth", "none", 0, 4608, 22.52),
        ("unsloth", "offloaded", 28, 49_152, 21.4),
        ("hf", "all", 28, 8192, 10.0),
    ],
)
def test_the_estimate_is_near_what_was_measured_on_a_gpu(
    engine: Any, kind: Any, layers: int, tokens: int, measured_gb: float
) -> None:
    cost = CostModel(SEVEN_B, engine, assumed_device(24.0), lora_rank=8)
    assert cost.peak_gb(Recomputed(kind, layers), tokens) == pytest.approx(measured_gb, rel=0.06)


def test_computing_layers_again_costs_half_as_much_again() -> None:
    once, twice = (operations_per_token(SEVEN_B, layers, 550) for layers in (0, 28))
    assert 1.4 < twice / once < 1.5


def seconds(gpu: str, rows_per_micro_batch: int) -> float | None:
    """Of one optimiser step of 48 rows that are as long as one another."""
    cost = CostModel(SEVEN_B, "unsloth", Device(gpu, 24.0, varlen_kernel=True), lora_rank=8)
    rows = [TrainingRow([0] * 512, []) for _ in range(48)]
    return cost.seconds(Recomputed("none", 0), Cutting("rows", rows_per_micro_batch, 0), [[rows]])


def test_micro_batches_that_a_gpu_computes_sooner_than_they_are_started_cost_the_starting() -> None:
    assert seconds("NVIDIA H100 80GB HBM3", 1) == pytest.approx(48 * 28 * 0.0078)
    assert seconds("NVIDIA GeForce RTX 4090", 12) == pytest.approx(seconds("NVIDIA GeForce RTX 4090", 6))


def test_a_device_of_unknown_speed_has_no_predicted_time() -> None:
    assert seconds("T4", 12) is None
