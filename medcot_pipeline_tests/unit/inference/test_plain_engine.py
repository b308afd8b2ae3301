"""The engine for models that are not known: transformers' forward pass, and the same choices."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel

from medcot_pipeline.inference.local.engine import LocalEngine
from medcot_pipeline.inference.local.rows import Row
from medcot_pipeline.inference.opening import open_local_engine
from medcot_pipeline.inference.plain import PlainEngine
from medcot_pipeline.inference.requests import Sampling
from medcot_pipeline.settings import LocalEngineSettings
from medcot_pipeline.support.errors import MedcotError
from medcot_pipeline_tests.support.small_decoders import (
    SETTING,
    VOCABULARY,
    engine_of,
    generated,
    ignore,
    small_qwen,
    some_requests,
)

ENDS = (7, 11, 200, 201)


def test_greedy_tokens_are_those_of_generate_for_either_arm() -> None:
    requests, model = some_requests(7), small_qwen(adapter=True)
    engine = PlainEngine(model, ENDS, 3, ignore, limited_by=SETTING)
    tuned = engine.write(requests, adapter=True)
    assert [list(each.token_ids) for each in tuned] == [generated(model, request, ENDS) for request in requests]
    base = engine.write(requests, adapter=False)
    assert [list(each.token_ids) for each in base] == [generated(small_qwen(), request, ENDS) for request in requests]


def test_both_engines_draw_the_same() -> None:
    requests = some_requests(7, sampling=Sampling(0.8, 0.9))
    plain = PlainEngine(small_qwen(), ENDS, 3, ignore, limited_by=SETTING).write(requests, adapter=False)
    assert plain == engine_of(small_qwen(), ENDS).write(requests, adapter=False)


def test_a_model_that_is_not_known_is_opened_as_a_plain_engine_and_that_is_said(tmp_path: Path) -> None:
    GPT2LMHeadModel(GPT2Config(vocab_size=VOCABULARY, n_embd=32, n_layer=1, n_head=2)).save_pretrained(tmp_path)
    requests, said = some_requests(3, 5), list[str]()
    engine = open_local_engine(tmp_path, None, requests, [0], LocalEngineSettings(), said.append, limited_by=SETTING)
    assert not isinstance(engine, LocalEngine)
    assert said == ["gpt2 models use transformers' own forward pass, which is slower"]
    kept: list[str] = []
    written = engine.write(requests, adapter=False, keep=lambda made: kept.extend(each.id for _, each in made))
    assert sorted(kept) == sorted(each.id for each in written)


class Narrow(PlainEngine):
    """An engine on a device that holds so many requests at once, and tells so as PyTorch does."""

    holds = 2

    def _write_group(self, rows: Sequence[Row], *others: Any) -> None:
        if len(rows) > self.holds:
            raise torch.OutOfMemoryError
        super()._write_group(rows, *others)


def test_memory_that_runs_out_makes_groups_smaller_and_is_said() -> None:
    requests, said = some_requests(7), list[str]()
    expected = PlainEngine(small_qwen(), ENDS, 5, ignore, limited_by=SETTING).write(requests, adapter=False)
    assert Narrow(small_qwen(), ENDS, 5, said.append, limited_by=SETTING).write(requests, adapter=False) == expected
    assert said == ["out of memory: 2 requests at once"]


def test_memory_that_runs_out_for_a_single_request_is_one_line() -> None:
    engine = Narrow(small_qwen(), ENDS, 4, ignore, limited_by="MEDCOT_EXAMS__MAX_NEW_TOKENS")
    engine.holds = 0
    with pytest.raises(MedcotError) as raised:
        engine.write(some_requests(1), adapter=False)
    assert str(raised.value) == (
        "request r-0: out of memory while writing it alone. Lower MEDCOT_EXAMS__MAX_NEW_TOKENS, or free the GPU."
    )
