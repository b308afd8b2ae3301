"""Ranks as torch's launcher starts them, on the CPU."""

import json
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from medcot_pipeline.compute.rank import problem_file
from medcot_pipeline.compute.ranks import first_problem
from medcot_pipeline.support.json_files import write_json
from medcot_pipeline_tests.support import rank_jobs
from medcot_pipeline_tests.support.rank_worker import outcome, start_ranks


def test_ranks_add_up_hear_what_the_first_decides_and_one_of_them_speaks(tmp_path: Path) -> None:
    worker = start_ranks(tmp_path, rank_jobs.meet, rank_jobs.Failure(), 2, NCCL_NVLS_ENABLE="0")
    said, end = outcome(worker)
    assert said == ["one line of 2 ranks\nwith two parts"]
    result = end["result"]
    assert (result["decided"], result["gathered"]) == ([7, 7], [0, 1])
    assert result["clocks"] == sorted(result["clocks"])
    assert result["sums"] == [[[1.0, 1.0], [1.0, 1.0]], [2.0, 2.0, 2.0]]
    assert (result["numbers"], result["total"]) == ([1.0, 1.0], 1.0)
    assert result["parents"] == [worker.pid, worker.pid]
    for environment in result["environment"]:
        assert environment["NCCL_NVLS_ENABLE"] == "0"
        assert not {"RANK", "LOCAL_RANK", "WORLD_SIZE", "TORCHELASTIC_RUN_ID"} & {*environment}


@pytest.mark.parametrize(
    ("failure", "problem"),
    [
        (rank_jobs.Failure(how="says", rank=1), "The disk is gone. Bring it back."),
        (rank_jobs.Failure(how="is killed", rank=0), "qlora_adapter: rank 0 of 2 was killed (SIGKILL). See the run's"),
    ],
    ids=lambda each: each.how if isinstance(each, rank_jobs.Failure) else "",
)
def test_a_rank_that_fails_ends_the_others_and_its_problem_is_one_line(
    tmp_path: Path, failure: rank_jobs.Failure, problem: str
) -> None:
    _, end = outcome(start_ranks(tmp_path, rank_jobs.meet, failure, 2))
    assert end["problem"].startswith(problem)
    assert "\n" not in end["problem"]


def test_ranks_die_with_their_parent(tmp_path: Path) -> None:
    worker = start_ranks(tmp_path, rank_jobs.wait, rank_jobs.Failure(), 2)
    assert worker.stdout is not None
    ranks = [int(number) for number in json.loads(worker.stdout.readline())["said"].split()]
    assert len(ranks) == 2
    assert all(alive(ranks))
    worker.send_signal(signal.SIGKILL)
    worker.communicate()
    deadline = time.monotonic() + 60
    while any(alive(ranks)):
        assert time.monotonic() < deadline, "a rank outlived its parent"
        time.sleep(0.05)


def alive(processes: list[int]) -> Iterator[bool]:
    """Whether each process is there and no zombie."""
    for number in processes:
        try:
            state = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            state = "gone"
        yield state not in ("Z", "X", "gone")


SPOKEN = {"line": "The disk is gone.", "at": 3.0}
DEFECT = {"line": "it failed: ValueError: a defect.", "at": 2.0, "traceback": "of the defect"}
CUT_OFF = {"line": "it failed: RuntimeError: connection closed.", "at": 4.0, "traceback": "of the sum"}


@pytest.mark.parametrize(
    ("written", "failed", "problem", "traceback"),
    [
        ({0: CUT_OFF, 1: SPOKEN}, {0: 1, 1: 1}, "The disk is gone.", []),
        ({0: CUT_OFF, 1: DEFECT}, {0: 1, 1: 1}, "it failed: ValueError: a defect.", ["of the defect"]),
        ({0: CUT_OFF}, {0: 1, 1: -signal.SIGKILL}, "it: rank 1 of 2 was killed (SIGKILL).", []),
        ({}, {0: -signal.SIGTERM, 1: 3}, "it: rank 1 of 2 ended with status 3.", []),
    ],
    ids=["said for people", "a defect", "killed", "ended without a word"],
)
def test_the_problem_of_several_ranks_is_the_one_that_came_first(
    tmp_path: Path, written: dict[int, object], failed: dict[int, int], problem: str, traceback: list[str]
) -> None:
    for rank, each in written.items():
        write_json(problem_file(tmp_path, rank), each)
    said: list[str] = []
    assert first_problem("it", tmp_path, 2, failed, said.append).startswith(problem)
    assert said == traceback
