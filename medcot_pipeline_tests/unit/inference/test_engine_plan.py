"""What of a model and a cache fits a device, and how fast it should be."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from medcot_pipeline.inference.local.expected.lengths import Ahead
from medcot_pipeline.inference.local.graphs import row_counts
from medcot_pipeline.inference.local.measured import Taken, blocks_left
from medcot_pipeline.inference.local.plan import HEADROOM_BYTES, EnginePlan, plan_engine
from medcot_pipeline.inference.local.rows import Row, longest_first
from medcot_pipeline.inference.local.weights import DecoderWeights
from medcot_pipeline.inference.requests import Request, Sampling
from medcot_pipeline.models.devices import CONTEXT_BYTES, Device
from medcot_pipeline.models.shape import KNOWN_SHAPES
from medcot_pipeline.settings import LocalEngineSettings
from medcot_pipeline.support.errors import MedcotError
from medcot_pipeline_tests.support.small_decoders import SETTING

SEVEN_B = KNOWN_SHAPES["deepseek-ai/DeepSeek-R1-Distill-Qwen-7B"]
SEVEN_B_WEIGHTS = DecoderWeights(
    SEVEN_B, torch.empty(0), [], None, None, 1e-6, torch.empty(0), torch.empty(0), torch.bfloat16
)


def plan(gigabytes: float, longest: int = 2200, rows: int | None = None) -> EnginePlan:
    device = Device("NVIDIA GeForce RTX 4090", gigabytes, varlen_kernel=True)
    return plan_engine(
        SEVEN_B, device, LocalEngineSettings(rows=rows), longest, lora_rank=8, nf4=True, limited_by=SETTING
    )


def test_the_7b_shape_is_unpacked_in_24_gb_with_a_cache_for_over_100_000_tokens() -> None:
    made = plan(24.0)
    assert not made.keep_nf4
    assert made.blocks * made.block_tokens > 100_000
    cache = 57_344 * made.blocks * made.block_tokens
    assert made.weight_bytes + cache < 24.0e9


def test_the_7b_shape_stays_packed_in_12_gb() -> None:
    made = plan(12.0)
    assert made.keep_nf4
    assert made.seconds(1, 0) is None


def test_rows_that_do_not_fit_are_refused_with_the_setting_to_lower() -> None:
    with pytest.raises(MedcotError) as raised:
        plan(9.0, 200_000)
    assert str(raised.value) == (
        "NVIDIA GeForce RTX 4090 with 9.0 GB is too small to write rows of 200,000 tokens: 44.3 GB more are needed. "
        "Lower MEDCOT_ANSWERS__MAX_NEW_TOKENS, or give the engine more with MEDCOT_INFERENCE__MAX_GPU_MEMORY_GB."
    )


def test_a_model_that_does_not_fit_is_refused_with_another_way_out() -> None:
    with pytest.raises(MedcotError) as raised:
        plan(6.0)
    assert str(raised.value) == (
        "NVIDIA GeForce RTX 4090 with 6.0 GB is too small to write rows of 2,200 tokens: 1.3 GB more are needed. "
        "Choose a smaller base model or a GPU with more memory."
    )


@given(st.floats(9.0, 200.0), st.integers(10, 20_000), st.integers(1, 300))
def test_a_plan_holds_a_whole_row_within_its_memory(gigabytes: float, longest: int, rows: int) -> None:
    try:
        made = plan(gigabytes, longest, rows)
    except MedcotError:
        return
    assert made.blocks * made.block_tokens >= made.row_tokens
    assert made.weight_bytes + 57_344 * made.blocks * made.block_tokens <= gigabytes * 1e9


@given(st.floats(19.0, 90.0), st.integers(0, 2**31), st.integers(0, 2**30), st.integers(0, 2**30))
def test_a_cache_leaves_room_for_all_that_was_measured(gigabytes: float, others: int, reading: int, step: int) -> None:
    made = plan(gigabytes)
    reserved, limit = 15_400_000_000, gigabytes * 1e9
    taken = Taken(reserved, int(limit) - reserved - others, reading, step)
    blocks, line = blocks_left(made, SEVEN_B_WEIGHTS, taken)
    assert made.row_blocks <= blocks <= made.blocks
    if blocks > made.row_blocks:
        cache = 57_344 * (blocks + 1) * made.block_tokens
        assert reserved + cache + reading + step + HEADROOM_BYTES <= limit - max(CONTEXT_BYTES, others)
    assert line.startswith(f"memory: weights 15.40 GB, cache of {blocks * made.block_tokens:,} tokens")


def test_a_plan_says_its_tokens_and_time() -> None:
    line = plan(24.0).line(Ahead(70_000, 2000, 40e6))
    assert line.startswith("writing on NVIDIA GeForce RTX 4090: weights unpacked once (15.")
    assert line.endswith("; 70,000 tokens expected in about 55 s")


def test_requests_wait_for_room_in_the_cache() -> None:
    rows = [Row(Request(str(n), (0,) * 4000, Sampling(), 0, 2048)) for n in range(100)]
    tight, wide = plan(20.0, 6048).ahead(rows), plan(80.0, 6048).ahead(rows)
    assert tight.tokens == wide.tokens
    assert tight.steps > 1.2 * wide.steps


def test_a_step_takes_the_time_of_reading_weights_and_cache_once() -> None:
    made = plan(24.0)
    reached = 1.01e12 * 0.6
    assert made.seconds(10, 0) == pytest.approx(10 * made.weight_bytes / reached)
    assert made.seconds(0, 1000) == pytest.approx(1000 * 57_344 / reached)


@given(st.integers(1, 600))
def test_steps_are_recorded_for_every_number_of_rows(rows: int) -> None:
    counts = row_counts(rows)
    assert counts == sorted(set(counts))
    assert counts[-1] == rows


def test_what_may_take_longest_starts_first() -> None:
    requests = [
        Request(str(n), (0,) * prompt, Sampling(), 0, most) for n, (prompt, most) in enumerate([(3, 5), (9, 5), (1, 9)])
    ]
    assert [request.id for request in longest_first(requests)] == ["2", "1", "0"]
