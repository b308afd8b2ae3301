"""What of a model and a cache fits a device, and what is expected still to be written."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from medcot_pipeline.inference.local.graphs import row_counts
from medcot_pipeline.inference.local.plan import (
    CONTEXT_BYTES,
    HEADROOM_BYTES,
    EnginePlan,
    Taken,
    blocks_left,
    plan_engine,
)
from medcot_pipeline.inference.local.rows import expected_total, longest_first
from medcot_pipeline.inference.local.weights import DecoderWeights
from medcot_pipeline.inference.requests import Request, Sampling
from medcot_pipeline.models.devices import Device
from medcot_pipeline.models.shape import KNOWN_SHAPES
from medcot_pipeline.settings import LocalEngineSettings
from medcot_pipeline.support.errors import MedcotError

SEVEN_B = KNOWN_SHAPES["deepseek-ai/DeepSeek-R1-Distill-Qwen-7B"]
SEVEN_B_WEIGHTS = DecoderWeights(
    SEVEN_B, torch.empty(0), [], None, None, 1e-6, torch.empty(0), torch.empty(0), torch.bfloat16
)


def plan(gigabytes: float, longest: int = 2200, rows: int | None = None) -> EnginePlan:
    device = Device("NVIDIA GeForce RTX 4090", gigabytes, varlen_kernel=True)
    return plan_engine(SEVEN_B, device, LocalEngineSettings(rows=rows), longest, lora_rank=8, nf4=True)


def test_the_7b_shape_is_unpacked_in_24_gb_with_a_cache_for_over_100_000_tokens() -> None:
    made = plan(24.0)
    assert not made.keep_nf4
    assert made.blocks * made.block_tokens > 100_000
    cache = 57_344 * made.blocks * made.block_tokens
    assert made.weight_bytes + cache < 24.0e9


def test_the_7b_shape_stays_packed_in_12_gb() -> None:
    made = plan(12.0)
    assert made.keep_nf4
    assert made.step_seconds is None


def test_what_does_not_fit_is_refused_in_one_line() -> None:
    with pytest.raises(
        MedcotError, match=r"^NVIDIA GeForce RTX 4090 with 6\.0 GB is too small .* Lower the most tokens"
    ):
        plan(6.0)


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
    (line,) = plan(24.0).lines(70_000)
    assert line.startswith("writing on NVIDIA GeForce RTX 4090: weights unpacked once (15.")
    assert "70,000 tokens in about" in line


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


@given(st.lists(st.integers(1, 500), min_size=1, max_size=40))
def test_the_expected_total_is_exact_at_the_end(lengths: list[int]) -> None:
    assert expected_total(lengths, [], []) == sum(lengths)


def test_nothing_finished_means_that_all_may_take_the_most() -> None:
    assert expected_total([], [(10, 100), (10, 100)], [100]) == 300


def test_running_requests_are_known_to_be_longer_than_they_are() -> None:
    generator = torch.Generator().manual_seed(0)
    lengths = torch.randint(100, 900, (400,), generator=generator).tolist()
    now = 400
    finished = [length for length in lengths if length <= now]
    running = [(now, 1000) for length in lengths if length > now]
    naive = sum(finished) + len(running) * sum(finished) / len(finished)
    expected = expected_total(finished, running, [])
    assert expected > sum(lengths) > naive
    assert expected <= sum(finished) + len(running) * 1000
