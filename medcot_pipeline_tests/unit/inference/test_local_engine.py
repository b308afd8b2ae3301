"""The engine against transformers' own loop, and a request's independence of what runs beside it."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel

from medcot_pipeline.inference.finished import NAME, FinishedRequests
from medcot_pipeline.inference.local.engine import LocalEngine
from medcot_pipeline.inference.local.rows import Row
from medcot_pipeline.inference.local.weights import take_weights
from medcot_pipeline.inference.opening import open_local_engine
from medcot_pipeline.inference.requests import Continuation, Request, Sampling, WrittenText, request_seed
from medcot_pipeline.settings import LocalEngineSettings
from medcot_pipeline.support.errors import MedcotError
from medcot_pipeline_tests.support.small_decoders import (
    SETTING,
    engine_of,
    generated,
    ignore,
    small_llama,
    small_qwen,
    some_requests,
)

DRAWN = Sampling(temperature=0.8, top_p=0.9)
ENDS = (7, 11, 200, 201, 202, 203)
Make = Callable[..., Any]


def text_of(written: Continuation) -> WrittenText:
    """Tokens as a text that holds them all."""
    text = " ".join(map(str, written.token_ids))
    return WrittenText(written.id, text, written.finished, len(written.token_ids) + written.finished)


def as_texts(made: Sequence[tuple[Request, Continuation]]) -> list[tuple[Request, WrittenText]]:
    return [(request, text_of(written)) for request, written in made]


@pytest.mark.parametrize("make", [small_qwen, small_llama])
@pytest.mark.parametrize("adapter", [False, True], ids=["base", "tuned"])
def test_greedy_tokens_are_those_of_generate(make: Make, adapter: bool) -> None:
    requests = some_requests(9)
    model = make(adapter=adapter)
    expected = [generated(model, request, ENDS) for request in requests]
    written = engine_of(model, ENDS).write(requests, adapter=adapter)
    assert [list(each.token_ids) for each in written] == expected
    assert {each.finished for each in written} == {True, False}


def test_one_engine_writes_for_both_arms() -> None:
    requests = some_requests(4)
    base = [generated(small_qwen(), request) for request in requests]
    engine = engine_of(small_qwen(adapter=True))
    tuned = engine.write(requests, adapter=True)
    assert [list(each.token_ids) for each in engine.write(requests, adapter=False)] == base
    assert [list(each.token_ids) for each in tuned] != base


def test_a_packed_model_writes_as_generate_does_whether_it_stays_packed_or_not(tmp_path: Path) -> None:
    from peft import PeftModel

    from medcot_pipeline.models.load import load_base

    small_qwen().save_pretrained(tmp_path / "base")
    small_qwen(adapter=True).save_pretrained(tmp_path / "adapter")

    def packed() -> Any:
        return PeftModel.from_pretrained(load_base(tmp_path / "base"), tmp_path / "adapter").eval()

    requests = some_requests(5)
    model = packed()
    expected = [generated(model, request) for request in requests]
    assert [list(each.token_ids) for each in engine_of(model).write(requests, adapter=True)] == expected
    kept = engine_of(packed())
    kept.runner.weights = take_weights(packed(), torch.float32, 130, keep_nf4=True)
    assert [list(each.token_ids) for each in kept.write(requests, adapter=True)] == expected


@pytest.mark.parametrize("packed", [False, True])
def test_what_was_unpacked_gives_its_memory_back_whoever_still_refers_to_it(tmp_path: Path, packed: bool) -> None:
    from medcot_pipeline.models.load import load_base

    small_qwen().save_pretrained(tmp_path)
    model = load_base(tmp_path, unpack=False) if packed else small_qwen()
    linear = [module for layer in model.model.layers for module in layer.modules() if hasattr(module, "in_features")]
    assert len(linear) == 14
    take_weights(model, torch.float32, 10, keep_nf4=False)
    assert sum(module.weight.untyped_storage().nbytes() for module in linear) == 0
    assert not any(getattr(module.weight, "quant_state", None) for module in linear)


@pytest.mark.parametrize("make", [small_qwen, small_llama])
def test_a_drawn_answer_is_the_same_alone_in_any_company_and_in_any_order(make: Make) -> None:
    requests = some_requests(11, sampling=DRAWN)
    engine = engine_of(make(adapter=True), ENDS)
    together = engine.write(requests, adapter=True)
    assert engine.write(requests[::-1], adapter=True) == together[::-1]
    assert [engine.write([request], adapter=True)[0] for request in requests] == together
    again = engine_of(make(adapter=True), ENDS, rows=4, longest=300)
    assert again.write(requests[3:8], adapter=True) == together[3:8]


def test_the_seed_of_a_request_decides_what_is_drawn() -> None:
    request = some_requests(1, sampling=DRAWN)[0]
    others = [Request(f"s-{seed}", request.prompt_ids, DRAWN, seed, 12) for seed in (0, 1, 2**32 - 1)]
    written = engine_of(small_qwen()).write(others, adapter=False)
    assert len({each.token_ids for each in written}) == 3


def test_a_killed_run_writes_the_others_alone_and_ends_the_same(tmp_path: Path) -> None:
    requests = some_requests(9, sampling=DRAWN)
    whole = engine_of(small_qwen(), ENDS).write(requests, adapter=False)

    class Killed(Exception):
        pass

    kept = FinishedRequests(tmp_path, {"torch": "1"}, ignore)

    def keep_and_die(made: Any) -> None:
        kept.keep(as_texts(made))
        if len((tmp_path / NAME).read_text().splitlines()) > 4:
            raise Killed

    with pytest.raises(Killed):
        engine_of(small_qwen(), ENDS).write(requests, adapter=False, keep=keep_and_die)
    with (tmp_path / NAME).open("a") as file:
        file.write('{"digest": "torn')
    said: list[str] = []
    resumed = FinishedRequests(tmp_path, {"torch": "1"}, said.append)
    left = resumed.open(requests)
    assert 0 < len(left) < len(requests)
    assert said == [f"{len(requests) - len(left)} of {len(requests)} requests were already finished"]
    engine_of(small_qwen(), ENDS).write(left, adapter=False, keep=lambda made: resumed.keep(as_texts(made)))
    assert resumed.collect(requests) == [text_of(each) for each in whole]


def test_what_other_versions_wrote_is_not_mixed_in(tmp_path: Path) -> None:
    request = some_requests(1)[0]
    FinishedRequests(tmp_path, {"torch": "1"}, ignore).keep([(request, WrittenText(request.id, "text", True, 2))])
    said: list[str] = []
    assert FinishedRequests(tmp_path, {"torch": "2"}, said.append).open([request]) == [request]
    assert said == ["starting over: the finished requests were written on another device or with other versions"]


def test_another_prompt_under_the_same_id_is_written_anew(tmp_path: Path) -> None:
    request, other = some_requests(1)[0], Request("r-0", (1,), Sampling(), 0, 3)
    kept = FinishedRequests(tmp_path, {}, ignore)
    kept.keep([(request, WrittenText(request.id, "text", True, 2))])
    assert kept.open([request, other]) == [other]


class Narrow(LocalEngine):
    """An engine on a device that holds the steps of two rows, and tells so as PyTorch does."""

    def _take_steps(self, running: Sequence[Row], *, adapter: bool) -> None:
        if len(running) > 2:
            raise torch.OutOfMemoryError
        super()._take_steps(running, adapter=adapter)


def test_memory_that_runs_out_in_the_middle_makes_it_smaller_and_is_said() -> None:
    requests, model, said = some_requests(9), small_qwen(), list[str]()
    expected = [generated(model, request) for request in requests]
    engine = engine_of(model)
    engine.__class__ = Narrow
    engine._say = said.append
    assert [list(each.token_ids) for each in engine.write(requests, adapter=False)] == expected
    assert said == ["out of memory: at most 2 rows at once"]
    assert engine.runner.cache.free == engine.plan.blocks


class NoSteps(LocalEngine):
    """An engine on a device that holds no step at all."""

    def _take_steps(self, running: Sequence[Row], *, adapter: bool) -> None:
        raise torch.OutOfMemoryError


class NoPrompts(LocalEngine):
    """An engine on a device that holds no prompt."""

    def _read_prompts(self, group: Sequence[Row], *, adapter: bool) -> None:
        raise torch.OutOfMemoryError


@pytest.mark.parametrize(("kind", "what"), [(NoSteps, "writing it alone"), (NoPrompts, "reading 12 tokens")])
def test_memory_that_runs_out_for_a_single_request_is_one_line(kind: type[LocalEngine], what: str) -> None:
    engine = engine_of(small_qwen())
    engine.__class__ = kind
    with pytest.raises(MedcotError) as raised:
        engine.write([Request(f"v-zh-{n}", (1,) * 12, Sampling(), 0, 30) for n in range(3)], adapter=False)
    assert str(raised.value) == (
        f"request v-zh-0: out of memory while {what}. "
        "Set MEDCOT_INFERENCE__MAX_GPU_MEMORY_GB lower, so that the cache is smaller, or free the GPU."
    )
    assert engine.runner.cache.free <= engine.plan.blocks


def test_a_prompt_longer_than_the_cache_is_refused_in_one_line() -> None:
    request = Request("v-zh-001", (1,) * 100, Sampling(), 0, 30)
    with pytest.raises(MedcotError) as raised:
        engine_of(small_qwen()).write([request], adapter=False)
    assert str(raised.value) == (
        "request v-zh-001: 100 tokens of prompt and 30 of answer do not fit the cache's rows of 120. "
        "Shorten the prompt, or lower MEDCOT_ANSWERS__MAX_NEW_TOKENS."
    )


@pytest.mark.parametrize(
    ("prompt", "way_out"),
    [(100, "Lower MEDCOT_ANSWERS__MAX_NEW_TOKENS to 412 at most."), (600, "Shorten the prompt.")],
)
def test_more_tokens_than_the_model_has_positions_are_refused_in_one_line(
    tmp_path: Path, prompt: int, way_out: str
) -> None:
    small_qwen().config.save_pretrained(tmp_path)
    requests = [
        Request("v-zh-000", (1,) * 20, Sampling(), 0, 500),
        Request("v-zh-001", (1,) * prompt, Sampling(), 0, 500),
    ]
    with pytest.raises(MedcotError) as raised:
        open_local_engine(tmp_path, None, requests, [0], LocalEngineSettings(), ignore, limited_by=SETTING)
    assert str(raised.value) == (
        f"request v-zh-001: {prompt} tokens of prompt and 500 of answer, but the model has 512 positions. {way_out}"
    )


def test_folders_of_base_and_adapter_become_an_engine_of_both_arms(tmp_path: Path) -> None:
    small_qwen().save_pretrained(tmp_path / "base")
    small_qwen(adapter=True).save_pretrained(tmp_path / "adapter")
    requests, said = some_requests(3), list[str]()
    engine = open_local_engine(
        tmp_path / "base", tmp_path / "adapter", requests, [0], LocalEngineSettings(rows=2), said.append,
        limited_by=SETTING,
    )  # fmt: skip
    assert engine.write(requests, adapter=True) != engine.write(requests, adapter=False)
    assert "weights unpacked once" in said[0]
    assert "up to 2 rows of 62 tokens" in said[0]


def test_a_model_of_another_kind_is_refused_in_one_line() -> None:
    model = GPT2LMHeadModel(GPT2Config(vocab_size=10, n_embd=8, n_layer=1, n_head=2))
    with pytest.raises(MedcotError, match=r"^the local engine supports llama and qwen2 models .* this is gpt2\. Serve"):
        take_weights(model, torch.float32, 10, keep_nf4=False)


def test_dora_is_refused_in_one_line() -> None:
    from peft import LoraConfig, get_peft_model

    model = get_peft_model(small_qwen(), LoraConfig(r=2, target_modules=["q_proj"], use_dora=True))
    with pytest.raises(MedcotError, match="not plain LoRA"):
        take_weights(model, torch.float32, 10, keep_nf4=False)


def test_seeds_of_requests_are_32_bits_and_differ() -> None:
    seeds = {request_seed(run, f"zh-{number}") for run in (0, 1) for number in range(100)}
    assert len(seeds) == 200
    assert all(0 <= seed < 2**32 for seed in seeds)
