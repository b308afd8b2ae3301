"""What of measuring only a GPU shows: packed lines through the variable-length kernel, memory that runs out."""

import random
from pathlib import Path
from typing import Any

import pytest
import torch

from medcot_pipeline.evaluation.perplexity.packing.likelihood import LineBudget, token_nll
from medcot_pipeline.models import products
from medcot_pipeline.models.devices import GB, has_varlen_kernel, limit_gpu_memory
from medcot_pipeline.models.load import load_base
from medcot_pipeline.models.origin.sources import make_tiny_model
from medcot_pipeline.settings import BaseModelSettings

pytestmark = pytest.mark.skipif(not torch.cuda.is_available() or not has_varlen_kernel(), reason="no such GPU here")

TOLERANCE = 0.2
"""Nats a token: bfloat16 has 8 bits, and two ways to add up a logit of a few nats differ in the last one or two."""
MEAN_TOLERANCE = 0.005
"""Nats, of the mean over all tokens."""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("base")
    make_tiny_model(BaseModelSettings(kind="tiny_random", tiny_hidden=256, tiny_layers=4), folder)
    return load_base(folder, unpack=True).eval()


@pytest.fixture(scope="module")
def rows() -> list[list[int]]:
    draw = random.Random(3)
    return [[draw.randrange(100_000) for _ in range(draw.randrange(2, 700))] for _ in range(40)]


@pytest.fixture(scope="module")
def alone(model: Any, rows: list[list[int]]) -> list[Any]:
    """Every row by itself, by the model's own attention."""
    return token_nll(model, rows, LineBudget(0, print))


def near(losses: list[Any], others: list[Any]) -> None:
    one, other = torch.cat(losses), torch.cat(others)
    assert float((one - other).abs().max()) < TOLERANCE
    assert abs(float(one.mean() - other.mean())) < MEAN_TOLERANCE


@pytest.mark.parametrize("budget", [64, 1000, 8192])
def test_packed_rows_are_as_likely_as_each_alone(
    model: Any, rows: list[list[int]], alone: list[Any], budget: int
) -> None:
    near(token_nll(model, rows, LineBudget(budget, print)), alone)


def test_packed_nf4_is_packed_nf4_unpacked(model: Any, rows: list[list[int]], tmp_path: Path) -> None:
    make_tiny_model(BaseModelSettings(kind="tiny_random", tiny_hidden=256, tiny_layers=4), tmp_path)
    nf4 = load_base(tmp_path, unpack=False).eval()
    near(token_nll(nf4, rows, LineBudget(4096, print)), token_nll(model, rows, LineBudget(4096, print)))


def test_memory_that_runs_out_makes_lines_shorter_and_nothing_is_lost(
    model: Any, rows: list[list[int]], alone: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(products.CHUNK_BYTES, "cuda", 2**24)
    said: list[str] = []
    many, budget = rows * 4, LineBudget(65_536, said.append)
    torch.cuda.empty_cache()
    try:
        limit_gpu_memory(torch.cuda.memory_reserved() / GB + 0.12)
        losses = token_nll(model, many, budget)
    finally:
        limit_gpu_memory(torch.cuda.get_device_properties(0).total_memory / GB)
    assert budget.lowered and said[0].startswith("out of GPU memory: lines of ")
    near(losses, alone * 4)
