"""Two GPUs of one machine: what ranks learn together over NCCL is what one GPU learns, by both engines."""

import importlib.util
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from medcot_pipeline.compute.gpus import visible_gpus
from medcot_pipeline.compute.ranks import run_ranks
from medcot_pipeline_tests.support.home import ROOT
from medcot_pipeline_tests.support.killed_ranks import SETTINGS, STEPS, arguments_of, make_inputs

pytestmark = pytest.mark.skipif(torch.cuda.device_count() < 2, reason="fewer than two GPUs here")

needs_unsloth = pytest.mark.skipif(importlib.util.find_spec("unsloth") is None, reason="unsloth is not installed")


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("inputs")
    make_inputs(folder, hidden=256, layers=4)
    return folder


@pytest.fixture(autouse=True)
def own_signals(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Give back the signals that torch's launcher takes; let ranks find the tests, which are not installed."""
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    taken = {each: signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)}
    yield
    for each, handler in taken.items():
        signal.signal(each, handler)


def trained(inputs: Path, folder: Path, engine: str, gpus: int) -> tuple[list[str], dict[str, Any]]:
    """What a training on so many GPUs said, and its summary."""
    arguments = arguments_of(
        inputs, folder / "out", folder / "work", SETTINGS.model_copy(update={"engine": engine})
    ).model_dump(mode="json")
    names = [gpu.name for gpu in visible_gpus()][:gpus]
    said: list[str] = []
    job = "medcot_pipeline_tests.support.killed_ranks.train"
    return said, run_ranks("qlora_adapter", job, arguments, names, said.append)


@pytest.mark.parametrize("engine", ["hf", pytest.param("unsloth", marks=needs_unsloth)])
def test_two_gpus_have_the_losses_of_one(inputs: Path, tmp_path: Path, engine: str) -> None:
    (_, alone), (said, together) = (trained(inputs, tmp_path / str(gpus), engine, gpus) for gpus in (1, 2))
    assert any(line.startswith(f"{engine} on 2 GPUs (") for line in said)
    for name in ("loss", "validation"):
        one, two = ([value for _, value in summary["curves"][name]] for summary in (alone, together))
        assert two == pytest.approx(one, rel=5e-3)
    assert len(together["curves"]["loss"]) == STEPS
