"""A rank killed in mid-training, at every moment that matters: the others end, and the run goes on afterwards."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from medcot_pipeline.support.json_files import read_json
from medcot_pipeline_tests.support import killed_ranks
from medcot_pipeline_tests.support.killed_ranks import STEPS, arguments_of, make_inputs
from medcot_pipeline_tests.support.rank_worker import outcome, start_ranks

Kill = tuple[str, int, int]
"""The moment, the rank, and the step of that part of the run."""
FEW: list[Kill] = [("sum", 1, 2), ("checkpoint", 0, 2)]
ALL: list[Kill] = [
    ("forward", 0, 2),
    ("forward", 1, 2),
    ("sum", 0, 2),
    ("sum", 1, 1),
    ("checkpoint", 0, 1),
    ("checkpoint", 1, 1),
]


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("inputs")
    make_inputs(folder)
    return folder


def run(inputs: Path, folder: Path, work: Path, ranks: int = 2, kill: Kill | None = None) -> dict[str, Any]:
    """Train on some ranks, of which one is killed, or to the end; the `result` or the `problem`."""
    staged: dict[str, Any] = dict(zip(("moment", "victim", "step"), kill, strict=True)) if kill else {}
    arguments = arguments_of(inputs, folder / "out", work, **staged)
    said, end = outcome(start_ranks(folder, killed_ranks.train, arguments, ranks))
    assert any("micro-batches of" in line for line in said), end
    return end


@pytest.fixture(scope="module")
def undisturbed(inputs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The adapter of an uninterrupted run on two ranks."""
    folder = tmp_path_factory.mktemp("undisturbed")
    assert run(inputs, folder, folder / "work")["result"]["optimizer_steps"] == STEPS
    return folder / "out"


def published(out: Path) -> dict[str, bytes]:
    """What identifies an adapter: every file but those aside."""
    return {path.name: path.read_bytes() for path in sorted(out.iterdir()) if path.is_file()}


@pytest.mark.parametrize("kills", [FEW, pytest.param(ALL, marks=pytest.mark.faults)], ids=["few", "all"])
def test_a_run_whose_ranks_are_killed_ends_with_the_adapter_of_an_uninterrupted_one(
    inputs: Path, tmp_path: Path, undisturbed: Path, kills: list[Kill]
) -> None:
    work = tmp_path / "work"
    for number, kill in enumerate(kills):
        problem = run(inputs, tmp_path / f"killed-{number}", work, kill=kill)["problem"]
        assert f"rank {kill[1]} of 2 was killed (SIGKILL)" in problem, kill
    before = tmp_path / "before"
    shutil.copytree(work, before)
    assert run(inputs, tmp_path / "resumed", work)["result"]["resumed_from"] is not None
    assert published(tmp_path / "resumed" / "out") == published(undisturbed)
    alone = run(inputs, tmp_path / "alone", before, ranks=1)["result"]
    assert alone["resumed_from"] is not None
    curves = [read_json(out / "curves.json") for out in (tmp_path / "alone" / "out", undisturbed)]
    for name in ("loss", "validation"):
        resumed, whole = ([value for _, value in each[name]] for each in curves)
        assert resumed == pytest.approx(whole, rel=1e-5)
