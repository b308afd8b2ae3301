"""One rank of a job that runs on several GPUs: `python -m medcot_pipeline.compute.rank FOLDER`.

Started by torch's launcher (ranks.py). It sees one GPU, runs the job as the others do, and dies with its parent. The
first rank alone writes lines and the result into the folder; any rank that fails writes what its problem is.

Belongs here: a rank's protocol.
Does not belong here: what ranks do together (together.py), what the job does.
"""

import json
import os
import sys
import time
import traceback
from pathlib import Path
from typing import Any

from medcot_pipeline.compute.process import begin, call, problem_of, refuse_to_be_an_orphan
from medcot_pipeline.compute.together import Ranks, become
from medcot_pipeline.support.errors import MedcotError
from medcot_pipeline.support.json_files import read_json, write_json
from medcot_pipeline.support.progress import Say

TOLD, LINES, RESULT, VALUES = "told.json", "lines", "result.json", "values"
LAUNCHERS_VARIABLES = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
LAUNCHERS_PREFIXES = ("GROUP_RANK", "GROUP_WORLD_SIZE", "ROLE_", "TORCHELASTIC_")


def problem_file(folder: Path, rank: int) -> Path:
    """Where a rank that fails writes why."""
    return folder / f"problem-{rank}.json"


def main() -> None:
    """Entry point of a rank."""
    begin()
    folder = Path(sys.argv[1])
    told = read_json(folder / TOLD)
    refuse_to_be_an_orphan(told["parent"])
    rank, size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    _be_a_single_process(told["gpus"][rank])
    ranks = Ranks(rank, size, folder / VALUES)
    become(ranks)
    try:
        result = call(told["job"], told["arguments"], _say(folder) if ranks.first else lambda line: None)
        ranks.leave()
    except Exception as error:
        _write_problem(problem_file(folder, rank), told["asset"], error)
        os._exit(1)  # an orderly end would wait for ranks that may be gone
    if ranks.first:
        write_json(folder / RESULT, result)


def _be_a_single_process(gpu: str) -> None:
    """Let every library take this process for the only one, on the only GPU; an empty name hides all GPUs."""
    for name in os.environ.copy():
        if name in LAUNCHERS_VARIABLES or name.startswith(LAUNCHERS_PREFIXES):
            del os.environ[name]
    os.environ["CUDA_VISIBLE_DEVICES"] = gpu
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")  # all ranks are on this machine


def _say(folder: Path) -> Say:
    lines = (folder / LINES).open("a", encoding="utf-8", buffering=1)

    def say(line: str) -> None:
        lines.write(json.dumps(line) + "\n")

    return say


def _write_problem(path: Path, asset: str, error: Exception) -> None:
    problem: dict[str, Any] = {"line": problem_of(asset, error), "at": time.monotonic()}
    if not isinstance(error, MedcotError):
        problem["traceback"] = "".join(traceback.format_exception(error))
    write_json(path, problem)


if __name__ == "__main__":
    main()
