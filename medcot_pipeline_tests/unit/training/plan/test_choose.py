import random
from typing import Any

import pytest

from medcot_pipeline.models.devices import Device, assumed_device
from medcot_pipeline.models.shape import KNOWN_SHAPES
from medcot_pipeline.settings import load_settings
from medcot_pipeline.support.errors import MedcotError
from medcot_pipeline.training.plan.choose import plan_training
from medcot_pipeline.training.plan.training_plan import TrainingPlan

SEVEN_B = KNOWN_SHAPES["deepseek-ai/DeepSeek-R1-Distill-Qwen-7B"]
LENGTHS = [random.Random(number).randrange(250, 1040) for number in range(2000)]


def plan(
    engine: Any = "unsloth", memory: float | None = 24.0, gpu: str = "NVIDIA GeForce RTX 4090", **changes: Any
) -> TrainingPlan:
    settings = load_settings("rtx4090").training.model_copy(update=changes)
    return plan_training(settings, engine, SEVEN_B, LENGTHS, Device(gpu, memory, varlen_kernel=True))


def test_on_24_gb_nothing_is_computed_twice() -> None:
    chosen = plan()
    assert (chosen.batching, chosen.checkpointing) == ("packed", "none")
    assert 4000 <= chosen.token_budget <= 4800
    assert chosen.predicted_memory_gb is not None
    assert chosen.predicted_memory_gb < 23


def test_a_smaller_gpu_gets_smaller_micro_batches() -> None:
    assert plan(memory=16.0).token_budget < plan(memory=24.0).token_budget


def test_a_gpu_that_holds_no_whole_row_computes_layers_again() -> None:
    assert plan(engine="hf", memory=12.0).checkpointed_layers > 0


def test_a_recorded_micro_batch_is_for_gpus_that_wait_for_their_host() -> None:
    assert plan(gpu="NVIDIA H100 80GB HBM3").cuda_graph
    assert not plan(gpu="NVIDIA GeForce RTX 4090").cuda_graph
    assert not plan(gpu="NVIDIA H100 80GB HBM3", engine="hf").cuda_graph


def test_the_parity_profile_keeps_the_reference_batches() -> None:
    settings = load_settings("rtx4090-parity").training
    chosen = plan_training(settings, "unsloth", SEVEN_B, LENGTHS, assumed_device(24.0))
    assert (chosen.batching, chosen.rows_per_micro_batch, chosen.rows_per_step) == ("rows", 24, 48)
    assert chosen.checkpointing == "offloaded"
    assert settings.checkpoint_steps == 500


def test_both_profiles_train_the_same_adapter() -> None:
    ours, reference = (load_settings(name).training.model_dump() for name in ("rtx4090", "rtx4090-parity"))
    differ = {name for name in ours if ours[name] != reference[name]}
    assert differ == {"batching", "checkpointing", "checkpoint_steps"}


def test_without_the_kernel_rows_are_padded() -> None:
    settings = load_settings("rtx4090").training
    chosen = plan_training(settings, "hf", SEVEN_B, LENGTHS, Device("T4", 15.0, varlen_kernel=False))
    assert chosen.batching == "tokens"


def test_what_is_set_is_kept() -> None:
    chosen = plan(micro_batch_tokens=2048, checkpointing="offloaded", batching="tokens")
    assert (chosen.token_budget, chosen.checkpointing, chosen.batching) == (2048, "offloaded", "tokens")


def test_a_gpu_that_is_too_small_is_told_what_it_lacks_and_what_would_fit() -> None:
    with pytest.raises(MedcotError) as error:
        plan(memory=6.0)
    assert "NVIDIA GeForce RTX 4090 with 6.0 GB is too small: a micro-batch of" in str(error.value)
    assert "GB more." in str(error.value)
    assert "MEDCOT_TRAINING__CHECKPOINTING=offloaded" in str(error.value)


def test_unsloth_cannot_compute_some_layers_twice() -> None:
    with pytest.raises(MedcotError, match=r"CHECKPOINTING=some, but Unsloth .* set MEDCOT_TRAINING__ENGINE=hf"):
        plan(checkpointing="some")
    assert plan(engine="hf", checkpointing="some").checkpointing == "some"


def test_padding_is_part_of_the_predicted_time() -> None:
    packed, padded = (plan(batching=name, checkpointing="offloaded").predicted_seconds for name in ("packed", "rows"))
    assert packed is not None
    assert padded is not None
    real = sum(LENGTHS) / len(LENGTHS) / max(LENGTHS)
    assert packed < padded < packed / real


def test_a_cpu_has_no_memory_to_plan() -> None:
    chosen = plan(memory=None, gpu="CPU, 2 threads")
    assert (chosen.predicted_memory_gb, chosen.predicted_seconds, chosen.checkpointing) == (None, None, "none")


def test_the_plan_reads_as_two_lines() -> None:
    first, second = plan().lines()
    assert first.startswith("unsloth on NVIDIA GeForce RTX 4090: 42 optimiser steps of 48 rows")
    assert "packed rows" in second
    assert "of 24.0 GB; about" in second


def on(ranks: int, gpu: str = "NVIDIA H100 80GB HBM3", lengths: list[int] = LENGTHS) -> TrainingPlan:
    settings = load_settings("rtx4090").training
    return plan_training(settings, "unsloth", SEVEN_B, lengths, Device(gpu, 24.0, varlen_kernel=True), ranks)


def test_more_gpus_take_less_time_and_never_less_than_their_share() -> None:
    seconds = [on(ranks).predicted_seconds for ranks in (1, 2, 4, 8)]
    assert all(seconds)
    for ranks, each in zip((2, 4, 8), seconds[1:], strict=True):
        assert seconds[0] / ranks < each < 1.35 * seconds[0] / ranks  # type: ignore[operator]


def test_ranks_change_nothing_of_the_steps_and_leave_room_for_what_they_add_up() -> None:
    alone, together = on(1), on(4)
    assert (alone.steps, alone.rows_per_step, alone.tokens) == (together.steps, together.rows_per_step, together.tokens)
    assert together.token_budget <= alone.token_budget
    assert together.predicted_memory_gb is not None
    assert together.predicted_memory_gb < 24.0


def test_a_rank_gets_its_share_of_a_step_in_one_micro_batch_where_the_memory_holds_it() -> None:
    settings = load_settings("rtx4090").training
    chosen = plan_training(settings, "unsloth", SEVEN_B, LENGTHS, Device("NVIDIA H100", 79.0, varlen_kernel=True), 8)
    mean_share = 48 / 8 * sum(LENGTHS) / len(LENGTHS)
    assert mean_share < chosen.token_budget < 1.15 * mean_share


def test_the_plan_names_the_number_of_gpus() -> None:
    first, second = on(2).lines()
    assert first.startswith("unsloth on 2 GPUs (NVIDIA H100 80GB HBM3): ")
    assert " GB on each; about " in second
    assert "GPUs" not in on(1).lines()[0]
