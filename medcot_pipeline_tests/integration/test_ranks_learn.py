"""What ranks learn together is what one learns alone; what goes wrong on one of them is decided by all."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from medcot_pipeline.support.json_files import read_json
from medcot_pipeline_tests.support.home import ROOT
from medcot_pipeline_tests.support.small_ranks import STEPS, TRAININGS

TOLERANCE = 1e-6
"""Relative, of every loss of a run: sums in another order round otherwise."""


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Any]]:
    """What every rank of every training saw."""
    out = tmp_path_factory.mktemp("ranks")
    command = [sys.executable, "-m", "medcot_pipeline_tests.support.small_ranks", str(out)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "GLOO_SOCKET_IFNAME": "lo"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return {name: parts_of(out / name, training.ranks) for name, training in TRAININGS.items()}


def parts_of(folder: Path, ranks: int) -> list[Any]:
    return [read_json(folder / f"rank-{rank}.json") for rank in range(ranks)]


def losses(trained: dict[str, list[Any]], name: str) -> list[float]:
    """Training losses and then validation losses of the first rank."""
    part = trained[name][0]
    assert part["problem"] == ""
    assert len(part["loss"]) == STEPS
    return [*part["loss"], *part["validation"]]


@pytest.mark.parametrize("name", ["2 ranks", "4 ranks"])
def test_several_ranks_have_the_losses_of_one(trained: dict[str, list[Any]], name: str) -> None:
    assert losses(trained, name) == pytest.approx(losses(trained, "1 rank"), rel=TOLERANCE)


def test_a_mutant_that_divides_by_local_labels_has_other_losses(trained: dict[str, list[Any]]) -> None:
    mutant = losses(trained, "2 ranks by local labels")
    assert mutant != pytest.approx(losses(trained, "1 rank"), rel=TOLERANCE)


def test_a_rank_without_rows_learns_what_the_others_learn(trained: dict[str, list[Any]]) -> None:
    assert losses(trained, "4 ranks, 3 rows") == pytest.approx(losses(trained, "1 rank, 3 rows"), rel=TOLERANCE)


@pytest.mark.parametrize("name", [name for name, training in TRAININGS.items() if training.ranks > 1])
def test_all_ranks_end_with_the_same_adapter_losses_and_best_checkpoint(
    trained: dict[str, list[Any]], name: str
) -> None:
    alike = [{key: part[key] for key in ("loss", "validation", "best", "adapter", "budget")} for part in trained[name]]
    assert all(part == alike[0] for part in alike)


def test_memory_that_runs_out_on_one_rank_makes_the_micro_batches_of_all_smaller(
    trained: dict[str, list[Any]],
) -> None:
    parts = trained["memory runs out once"]
    assert [part["budget"] for part in parts] == [3456, 3456]
    assert "out of GPU memory: micro-batches of 3,456 tokens from now on, not 4,096" in parts[0]["said"]
    assert losses(trained, "memory runs out once") == pytest.approx(losses(trained, "2 ranks"), rel=TOLERANCE)


def test_memory_that_holds_no_row_on_one_rank_stops_all_with_one_line(trained: dict[str, list[Any]]) -> None:
    problems = {part["problem"] for part in trained["memory never suffices"]}
    assert len(problems) == 1
    assert problems.pop().startswith("Out of GPU memory: CPU cannot train one row of ")


def test_a_loss_that_one_rank_loses_stops_all_with_one_line_at_the_same_step(trained: dict[str, list[Any]]) -> None:
    parts = trained["loss is lost"]
    assert all(part["problem"].startswith("The loss at optimiser step 3 is not a number.") for part in parts)
    assert [len(part["loss"]) for part in parts] == [2, 2]


def test_a_resumed_run_drops_what_an_uninterrupted_one_drops(trained: dict[str, list[Any]]) -> None:
    assert trained["dropout resumed"][0]["adapter"] == trained["dropout"][0]["adapter"]
    assert losses(trained, "dropout resumed") == losses(trained, "dropout")
    assert losses(trained, "dropout") != pytest.approx(losses(trained, "2 ranks"), rel=TOLERANCE)
