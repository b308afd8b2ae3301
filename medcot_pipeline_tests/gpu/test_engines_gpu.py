"""What only a GPU shows: the variable-length kernel, recorded micro-batches, both engines, memory that runs out."""

import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from medcot_pipeline.models.origin.sources import make_tiny_model
from medcot_pipeline.settings import BaseModelSettings
from medcot_pipeline.support.json_files import read_json

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")

needs_unsloth = pytest.mark.skipif(importlib.util.find_spec("unsloth") is None, reason="unsloth is not installed")

ROOT = Path(__file__).resolve().parents[2]


def by_itself(module: str, *arguments: str) -> str:
    """What a module says in a process of its own, since Unsloth patches what it touches."""
    command = [sys.executable, "-m", f"medcot_pipeline_tests.gpu.{module}", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def train(out: Path, *arguments: str) -> tuple[Any, str]:
    """Losses of a small run, and what it said."""
    said = by_itself("small_run", str(out), *arguments)
    return read_json(out), said


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("base")
    make_tiny_model(BaseModelSettings(kind="tiny_random", tiny_hidden=256, tiny_layers=4), folder)
    return folder


def gradient(base: Path, out: Path, arguments: str) -> torch.Tensor:
    """Of all adapter weights, one behind another."""
    by_itself("gradients", str(base), str(out), *arguments.split())
    made = load_file(out)
    return torch.cat([made[name].flatten() for name in sorted(made)])


@pytest.fixture(scope="module")
def gradient_of_padded(base: Path, tmp_path_factory: pytest.TempPathFactory) -> torch.Tensor:
    return gradient(base, tmp_path_factory.mktemp("gradient") / "padded.safetensors", "hf rows none")


@pytest.mark.parametrize(
    "arguments",
    [
        "hf packed none",
        "hf packed some",
        "hf packed offloaded",
        *(
            pytest.param(arguments, marks=needs_unsloth)
            for arguments in (
                "unsloth rows offloaded",
                "unsloth packed none",
                "unsloth packed none replayed",
                "unsloth packed all",
                "unsloth packed offloaded",
            )
        ),
    ],
)
def test_however_a_step_is_computed_its_gradient_is_that_of_padded_rows(
    base: Path, gradient_of_padded: torch.Tensor, tmp_path: Path, arguments: str
) -> None:
    other = gradient(base, tmp_path / "other.safetensors", arguments)
    assert float(torch.cosine_similarity(other, gradient_of_padded, dim=0)) > 0.998
    assert float(other.norm() / gradient_of_padded.norm()) == pytest.approx(1.0, rel=5e-3)


@pytest.fixture(scope="module")
def padded(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return train(tmp_path_factory.mktemp("padded") / "run.json", "engine=hf", "batching=tokens")[0]


def test_packed_rows_give_the_losses_of_padded_ones(padded: Any, tmp_path: Path) -> None:
    packed, _ = train(tmp_path / "run.json", "engine=hf", "batching=packed")
    assert packed["loss"] == pytest.approx(padded["loss"], rel=5e-3)
    assert packed["validation"] == pytest.approx(padded["validation"], rel=5e-3)


def test_the_loss_falls(padded: Any) -> None:
    assert padded["validation"][-1] < padded["loss"][0] - 0.3


@needs_unsloth
@pytest.mark.parametrize("batching", ["packed", "tokens", "rows"])
def test_unsloth_gives_the_losses_of_plain_transformers(padded: Any, tmp_path: Path, batching: str) -> None:
    unsloth, _ = train(tmp_path / "run.json", "engine=unsloth", f"batching={batching}")
    assert unsloth["loss"][0] == pytest.approx(padded["loss"][0], rel=2e-3)
    assert unsloth["validation"][-1] == pytest.approx(padded["validation"][-1], rel=2e-2)


def test_memory_that_runs_out_makes_micro_batches_smaller_and_training_goes_on(padded: Any, tmp_path: Path) -> None:
    small, said = train(
        tmp_path / "run.json", "engine=hf", "batching=tokens", "max_gpu_memory_gb=1.1", "micro_batch_tokens=16384"
    )
    assert "out of GPU memory: micro-batches of" in said
    assert small["budget"] < 16384
    assert small["loss"] == pytest.approx(padded["loss"], rel=5e-3)


def test_a_gpu_that_is_too_small_is_told_what_it_lacks(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "medcot_pipeline_tests.gpu.small_run", str(tmp_path / "run.json")]
    done = subprocess.run(
        [*command, "engine=hf", "max_gpu_memory_gb=1.0"], cwd=ROOT, capture_output=True, text=True, timeout=200
    )
    assert done.returncode != 0
    assert "is too small: a micro-batch of" in done.stderr
    assert "MEDCOT_TRAINING__CHECKPOINTING=offloaded" in done.stderr
