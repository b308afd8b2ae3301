"""A job on some ranks of the CPU, by itself: `python -m medcot_pipeline_tests.support.rank_worker ASKED`.

It stands in the place of the child process of an asset, without Dagster around it: what it says and how it ends are
lines of JSON.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from medcot_pipeline.compute.process import call, die_with_parent
from medcot_pipeline.compute.ranks import run_ranks
from medcot_pipeline.support.errors import MedcotError
from medcot_pipeline.support.json_files import read_json, write_json
from medcot_pipeline_tests.support.home import ROOT


def start_ranks(
    folder: Path, job: Callable[..., Any], arguments: BaseModel, ranks: int, **environment: str
) -> "subprocess.Popen[str]":
    """Start a job on some ranks; on one, in the worker itself. Its errors go into `folder`."""
    asked = {"job": f"{job.__module__}.{job.__qualname__}", "arguments": arguments.model_dump(mode="json")}
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "asked.json", {**asked, "ranks": ranks})
    command = [sys.executable, "-m", "medcot_pipeline_tests.support.rank_worker", str(folder / "asked.json")]
    # Ranks do not look into the folder that they run in, where the tests lie, which are not installed.
    own = {"HOME": str(folder), "TMPDIR": str(folder), "PYTHONPATH": str(ROOT)}
    kept = {"PATH": os.environ["PATH"], "OMP_NUM_THREADS": "1", "LC_ALL": "C.UTF-8"}
    with (folder / "errors").open("w") as errors:
        return subprocess.Popen(
            command, cwd=ROOT, env=kept | own | environment, stdout=subprocess.PIPE, stderr=errors, text=True
        )


def outcome(worker: "subprocess.Popen[str]") -> tuple[list[str], dict[str, Any]]:
    """Wait for a worker; the lines that it said, and its `result` or `problem`."""
    out, _ = worker.communicate(timeout=600)
    told = [json.loads(line) for line in out.splitlines() if line.startswith("{")]
    said = [each["said"] for each in told if "said" in each]
    ends = [each for each in told if "said" not in each]
    assert len(ends) == 1, out
    return said, ends[0]


def _tell(**told: Any) -> None:
    print(json.dumps(told), flush=True)


def main() -> None:
    """Run what is asked."""
    die_with_parent()
    asked = read_json(Path(sys.argv[1]))
    job, arguments, ranks = asked["job"], asked["arguments"], asked["ranks"]

    def say(line: str) -> None:
        _tell(said=line)

    try:
        if ranks == 1:
            result = call(job, arguments, say)
        else:
            result = run_ranks("qlora_adapter", job, arguments, [""] * ranks, say)
    except MedcotError as error:
        _tell(problem=str(error))
    else:
        _tell(result=result)


if __name__ == "__main__":
    main()
