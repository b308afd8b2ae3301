"""The child process in which everything that loads a model runs: `python -m medcot_pipeline.compute.child`.

It is told a job through Dagster Pipes, reports progress as log lines, and ends with either a result or one line that
says what is wrong. It dies with its parent. A job for several GPUs it hands on to a rank for each.

Belongs here: the protocol.
Does not belong here: what a job does, or anything of Dagster but `dagster_pipes`.
"""

import traceback
from pathlib import Path
from typing import Any

from dagster_pipes import PipesContext, open_dagster_pipes

from medcot_pipeline.compute.gpu_lock import hold_gpus, see_only
from medcot_pipeline.compute.process import begin, call, problem_of, refuse_to_be_an_orphan
from medcot_pipeline.compute.ranks import run_ranks
from medcot_pipeline.support.errors import MedcotError


def run(pipes: PipesContext) -> None:
    """Run the job that Pipes names and report its result or problem; a parent that gets neither counts it as failed."""
    try:
        result = _result(pipes)
    except Exception as error:
        if not isinstance(error, MedcotError):
            pipes.log.error(traceback.format_exc())
        pipes.report_custom_message({"problem": problem_of(pipes.extras["asset"], error)})
    else:
        pipes.report_custom_message({"result": result})


def _result(pipes: PipesContext) -> dict[str, Any]:
    asset, job, arguments, place = (pipes.extras[name] for name in ("asset", "job", "arguments", "place"))
    gpus, lock = pipes.extras["gpus"], pipes.extras["lock"]

    def say(line: str) -> None:
        pipes.log.info(f"{place} {line}")

    with hold_gpus(Path(lock["data"]), gpus, lock["holder"], say) as held:
        if gpus > 1:
            return run_ranks(asset, job, arguments, held, say)
        see_only(held)
        return call(job, arguments, say)


def main() -> None:
    """Entry point of the child process."""
    begin()
    with open_dagster_pipes() as pipes:
        refuse_to_be_an_orphan(pipes.extras["parent"])
        run(pipes)


if __name__ == "__main__":
    main()
