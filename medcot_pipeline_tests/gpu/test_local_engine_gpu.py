"""What of the engine only a GPU shows: its kernels against PyTorch, recorded steps, blocks and memory that run out."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import pytest
import torch

from medcot_pipeline.inference.local.cache import Cache
from medcot_pipeline.inference.local.engine import LocalEngine
from medcot_pipeline.inference.local.operations import host
from medcot_pipeline.inference.local.plan import plan_engine
from medcot_pipeline.inference.local.rows import POSITION, SEED, STEP, TABLE, TEMPERATURE, TOP_P, Row
from medcot_pipeline.inference.local.weights import DecoderWeights
from medcot_pipeline.inference.requests import Request, Sampling
from medcot_pipeline.models.devices import this_device
from medcot_pipeline.models.shape import ModelShape
from medcot_pipeline.settings import LocalEngineSettings
from medcot_pipeline_tests.support.small_decoders import LORA_RANK, SETTING, ignore, small_qwen, some_requests

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")

SHAPE = ModelShape(
    layers=1, hidden=3584, feed_forward=4096, heads=28, key_heads=4, head_size=128, vocabulary=152064, tied=True
)
ENDS = (7, 11, 200, 201)


@pytest.fixture(scope="module")
def kernels() -> Any:
    from medcot_pipeline.inference.local.operations import gpu

    return gpu


def near(left: Any, right: Any) -> None:
    torch.testing.assert_close(left.float(), right.float(), rtol=2e-2, atol=2e-2)


def random(*size: int) -> Any:
    return torch.randn(size, device="cuda", dtype=torch.bfloat16)


@pytest.mark.parametrize("adds", [False, True])
def test_norm_and_gate_are_those_of_pytorch(kernels: Any, adds: bool) -> None:
    hidden, change, weight = random(5, 3584), random(5, 4000)[:, :3584] if adds else None, random(3584)
    for mine, its in zip(
        kernels.add_and_norm(hidden, change, weight, 1e-6),
        host.add_and_norm(hidden, change, weight, 1e-6),
        strict=True,
    ):
        near(mine, its)
    both = random(5, 8208)[:, :8192]
    near(kernels.gated(both), host.gated(both))


def test_attention_reads_what_each_row_has_out_of_its_blocks(kernels: Any) -> None:
    cache = Cache(SHAPE, 200, 64, torch.bfloat16, "cuda")
    keys, values = cache.keys[0].normal_(), cache.values[0].normal_()
    positions = [0, 63, 64, 255, 256, 2100]
    state = torch.zeros(len(positions) + 1, TABLE + 34, dtype=torch.int32)
    for row, position in enumerate(positions):
        blocks = cache.take(cache.blocks_for(position + 1))
        state[row, POSITION] = position
        state[row, TABLE : TABLE + len(blocks)] = torch.tensor(blocks)
    tables = state[:, TABLE:].tolist()
    state = state.cuda()
    weights = DecoderWeights(
        SHAPE, random(1, 1), [], None, None, 1e-6, random(2200, 128), random(2200, 128), torch.bfloat16
    )
    at_position = state[:, POSITION].long()
    places = torch.tensor(
        [cache.places(table, at + 1)[-1] for table, at in zip(tables, at_position.tolist(), strict=True)]
    )
    joined = random(len(state), (28 + 8) * 128)
    its_keys, its_values = keys.clone(), values.clone()
    query = kernels.rotate_and_store(joined, weights, at_position, places.cuda(), keys, values)
    near(query, host.rotate_and_store(joined, weights, at_position, places.cuda(), its_keys, its_values))
    near(keys, its_keys)
    assert torch.equal(values, its_values)
    mixed = kernels.attend(query, keys, values, kernels.reading(state, cache))
    for row, at in enumerate(positions):
        own = torch.tensor(cache.places(tables[row], at + 1), device="cuda")
        expected = torch.nn.functional.scaled_dot_product_attention(
            query[row].view(4, 7, 128).float(),
            keys[own].transpose(0, 1).float(),
            values[own].transpose(0, 1).float(),
        )
        near(mixed[row], expected.flatten())


@pytest.mark.parametrize("spread", [0.02, 1.0, 4.0, 12.0])
def test_the_same_tokens_are_drawn_on_a_gpu_as_on_a_cpu(kernels: Any, spread: float) -> None:
    torch.manual_seed(0)
    logits = (torch.randn(48, 152064) * spread).bfloat16()
    state = torch.zeros(48, TABLE + 1, dtype=torch.int32)
    state[:, SEED] = torch.randint(-(2**31), 2**31 - 1, (48,))
    state[:, STEP] = torch.arange(48)
    state[:, TEMPERATURE] = torch.tensor([0.0, 0.6, 1.0] * 16).view(torch.int32)
    state[:, TOP_P] = torch.tensor([0.95, 0.95, 1.0, 0.5] * 12).view(torch.int32)
    mine = kernels.choose(logits.cuda(), state.cuda()).cpu().long()
    its = host.choose(logits, state)
    assert int((mine != its).sum()) <= 1  # sums of probabilities are rounded otherwise


def engine_here(model: Any, *, graphs: bool, blocks: int | None = None, ends: tuple[int, ...] = ENDS) -> LocalEngine:
    plan = plan_engine(
        ModelShape.of(model.config.to_dict()), this_device(4.0), LocalEngineSettings(rows=8), 300,
        lora_rank=LORA_RANK, nf4=False, limited_by=SETTING,
    )  # fmt: skip
    plan = plan if blocks is None else dataclasses.replace(plan, blocks=blocks)
    return LocalEngine(model.to("cuda", torch.bfloat16), ends, plan, ignore, graphs=graphs)


def agreement(left: list[Any], right: list[Any]) -> float:
    return sum(bool(a.token_ids == b.token_ids) for a, b in zip(left, right, strict=True)) / len(left)


@pytest.mark.parametrize("adapter", [False, True], ids=["base", "tuned"])
def test_recorded_steps_write_what_started_ones_do(adapter: bool) -> None:
    for sampling in (Sampling(), Sampling(0.7, 0.9)):
        requests = some_requests(20, 40, sampling)
        recorded = engine_here(small_qwen(adapter=True), graphs=True).write(requests, adapter=adapter)
        assert recorded == engine_here(small_qwen(adapter=True), graphs=False).write(requests, adapter=adapter)
        assert {each.finished for each in recorded} == {True, False}


def test_rows_that_find_no_block_wait_and_go_on_where_they_were() -> None:
    class Watched(LocalEngine):
        came_back = 0

        def _read_prompts(self, group: Any, *, adapter: bool) -> None:
            self.came_back += sum(bool(row.written) for row in group)
            super()._read_prompts(group, adapter=adapter)

    requests = some_requests(12, 200)
    plenty = engine_here(small_qwen(), graphs=False, ends=()).write(requests, adapter=False)
    engine = engine_here(small_qwen(), graphs=False, ends=(), blocks=12)
    engine.__class__ = Watched
    scarce = engine.write(requests, adapter=False)
    assert engine.came_back > 0  # type: ignore[attr-defined]
    assert [len(each.token_ids) for each in scarce] == [200] * 12
    assert engine.runner.cache.free == 12
    assert agreement([dataclasses.replace(a, token_ids=a.token_ids[:8]) for a in plenty],
                     [dataclasses.replace(b, token_ids=b.token_ids[:8]) for b in scarce]) >= 0.7  # fmt: skip


def test_a_cache_that_does_not_fit_becomes_smaller_and_says_so() -> None:
    model = small_qwen()
    shape = ModelShape.of(model.config.to_dict())
    settings = LocalEngineSettings(rows=8)
    plan = plan_engine(shape, this_device(4.0), settings, 300, lora_rank=0, nf4=False, limited_by=SETTING)
    total = torch.cuda.get_device_properties(0).total_memory
    block_bytes = 2 * shape.layers * 64 * shape.key_heads * shape.head_size * 2
    torch.cuda.set_per_process_memory_fraction(min(1.0, 2e9 / total))
    said: list[str] = []
    try:
        huge = dataclasses.replace(plan, blocks=int(4e9 // block_bytes))
        engine = LocalEngine(model.to("cuda", torch.bfloat16), (), huge, said.append, graphs=False)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert any(line.startswith("out of memory: trying a cache of") for line in said)
    assert len(engine.write(some_requests(3), adapter=False)) == 3


def test_steps_that_cannot_be_recorded_take_memory_from_the_cache_and_that_is_said() -> None:
    expected = engine_here(small_qwen(), graphs=True).write(some_requests(5), adapter=False)
    torch.cuda.empty_cache()
    engine = engine_here(small_qwen(), graphs=True, blocks=100_000)
    said: list[str] = []
    engine.runner._say = said.append
    had, total = engine.runner.cache.blocks, torch.cuda.get_device_properties(0).total_memory
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved() + 2**20) / total)
    try:
        written = engine.write(some_requests(5), adapter=False)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert said[0].startswith("out of memory while recording steps: a cache of")
    assert engine.runner.cache.blocks == engine.runner.cache.free < had
    assert written == expected


def test_prompts_that_do_not_fit_together_are_read_in_smaller_groups_and_that_is_said() -> None:
    class Narrow(LocalEngine):
        def _read_prompts(self, group: Sequence[Row], *, adapter: bool) -> None:
            if len(group) > 2:
                torch.empty(2**50, dtype=torch.uint8, device="cuda")  # more than any GPU has
            super()._read_prompts(group, adapter=adapter)

    said: list[str] = []
    engine = engine_here(small_qwen(), graphs=False, ends=())
    requests = some_requests(8, 12)
    expected = engine.write(requests, adapter=False)
    engine.__class__ = Narrow
    engine._say = said.append
    written = engine.write(requests, adapter=False)
    assert agreement(written, expected) >= 0.7
    assert any(line.startswith("out of memory: reading at most") for line in said)


def test_a_greedy_request_starts_the_same_beside_others() -> None:
    engine = engine_here(small_qwen(), graphs=True, ends=())
    requests = some_requests(8, 12)
    together = engine.write(requests, adapter=False)
    alone = [engine.write([Request(**vars(request))], adapter=False)[0] for request in requests]
    assert agreement(alone, together) >= 0.7
