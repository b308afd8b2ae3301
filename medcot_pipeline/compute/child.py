"""The child process in which everything that loads a model runs: `python -m medcot_pipeline.compute.child`.

It is told a job through Dagster Pipes, reports progress as log lines, and ends with either a result or one line that
says what is wrong. It dies with its parent.

Belongs here: the protocol.
Does not belong here: what a job does, or anything of Dagster but `dagster_pipes`.
"""

import ctypes
import importlib
import os
import signal
import sys
import traceback
import warnings
from pathlib import Path
from typing import Any, get_type_hints

from dagster_pipes import PipesContext, open_dagster_pipes

from medcot_pipeline.artifacts.store import disk_is_full
from medcot_pipeline.compute.gpu_lock import gpu_lock
from medcot_pipeline.support.errors import MedcotError
from medcot_pipeline.support.progress import Say


def call(job: str, arguments: dict[str, Any], say: Say) -> dict[str, Any]:
    """Call the function of a dotted name with its arguments, which its first parameter's type checks."""
    module, _, name = job.rpartition(".")
    function = getattr(importlib.import_module(module), name)
    model = next(iter(get_type_hints(function).values()))
    return dict(function(model.model_validate(arguments), say))


def die_with_parent() -> None:
    """Ask the kernel to kill this process when its parent ends, so that no orphan goes on training (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def refuse_to_be_an_orphan(parent: int) -> None:
    """End when the parent was gone before the kernel was asked."""
    if os.getppid() != parent:
        sys.exit("the parent process is gone")


def answer_nobody() -> None:
    """Empty standard input, so that no question of a library is answered by `yes |` or a keystroke."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)


def run(pipes: PipesContext) -> None:
    """Run the job that Pipes names and report its result or problem; a parent that gets neither counts it as failed."""
    job, place, lock = pipes.extras["job"], pipes.extras["place"], pipes.extras["lock"]

    def say(line: str) -> None:
        pipes.log.info(f"{place} {line}")

    try:
        with gpu_lock([Path(path) for path in lock["paths"]], lock["holder"], say):
            result = call(job, pipes.extras["arguments"], say)
    except MedcotError as error:
        pipes.report_custom_message({"problem": str(error)})
    except Exception as error:
        pipes.log.error(traceback.format_exc())
        way_out = " Free some space and run `medcot sync` again." if disk_is_full(error) else ""
        detail = f"{error.__class__.__name__}: {' '.join(str(error).split())[:300]}"
        pipes.report_custom_message({"problem": f"{pipes.extras['asset']} failed: {detail}.{way_out}"})
    else:
        pipes.report_custom_message({"result": result})


def main() -> None:
    """Entry point of the child process."""
    die_with_parent()
    answer_nobody()
    warnings.filterwarnings("ignore")
    os.environ.setdefault("TQDM_DISABLE", "1")  # bars of libraries would run through the progress lines
    with open_dagster_pipes() as pipes:
        refuse_to_be_an_orphan(pipes.extras["parent"])
        run(pipes)


if __name__ == "__main__":
    main()
