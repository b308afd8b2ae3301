"""A job on several GPUs: a rank for each, started and watched by torch's own launcher.

The launcher runs in the child process, so that the ranks die with it. Where one rank ends badly it ends the others, and
none is started again: the run goes on from its checkpoints when it is asked for again.

Belongs here: starting ranks, passing on what the first of them says, and one line for whatever went wrong.
Does not belong here: being a rank (rank.py).
"""

import contextlib
import json
import logging
import os
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from medcot_pipeline.compute.rank import LINES, RESULT, TOLD, problem_file
from medcot_pipeline.support.errors import MedcotError
from medcot_pipeline.support.json_files import read_json, write_json
from medcot_pipeline.support.progress import Say

LOOK_AGAIN_SECONDS = 0.2


def run_ranks(asset: str, job: str, arguments: Mapping[str, Any], gpus: Sequence[str], say: Say) -> dict[str, Any]:
    """Run a job in one rank for each GPU, and return what the first rank's returns.

    To be called in the main thread, for the launcher handles signals.

    Args:
        asset: for which asset.
        job: dotted name of its function.
        arguments: of the function, as JSON.
        gpus: their names for CUDA_VISIBLE_DEVICES; an empty name is a rank on the CPU.
        say: where lines of the first rank go.

    Raises:
        MedcotError: a rank says what is wrong, or is killed; the others have been ended.
    """
    with tempfile.TemporaryDirectory(prefix="medcot-ranks-") as name:
        folder = Path(name)
        told = {"asset": asset, "job": job, "arguments": dict(arguments), "gpus": list(gpus), "parent": os.getpid()}
        write_json(folder / TOLD, told)
        with _passed_on(folder / LINES, say):
            failed = _launch(folder, len(gpus))
        if failed:
            raise MedcotError(first_problem(asset, folder, len(gpus), failed, say))
        return dict(read_json(folder / RESULT))


def _launch(folder: Path, count: int) -> dict[int, int]:
    """Run the ranks to their end; exit statuses by rank of those that failed, of which some were ended by others."""
    # The launcher keeps its state in a file: it would else open a port to the network.
    os.environ["TORCH_DISABLE_SHARE_RDZV_TCP_STORE"] = "1"
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, len(os.sched_getaffinity(0)) // count)))
    from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    # What it says of ranks that end badly stands in one line of `first_problem`.
    logging.getLogger("torch.distributed.elastic.multiprocessing.api").setLevel(logging.CRITICAL)
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=count,
        run_id="ranks",
        rdzv_backend="c10d",
        rdzv_endpoint=str(folder / "launcher"),
        rdzv_configs={"store_type": "file"},
        local_addr="127.0.0.1",
        max_restarts=0,
        monitor_interval=LOOK_AGAIN_SECONDS,
        logs_specs=DefaultLogsSpecs(log_dir=str(folder / "logs")),
    )
    try:
        elastic_launch(config, sys.executable)("-P", "-m", "medcot_pipeline.compute.rank", str(folder))
    except ChildFailedError as error:
        return {rank: failure.exitcode for rank, failure in error.failures.items()}
    return {}


def first_problem(asset: str, folder: Path, count: int, failed: Mapping[int, int], say: Say) -> str:
    """What went wrong first, in one line.

    A rank that ends takes the sums of the others with it, whose errors then say nothing: what a rank says for people
    comes first, then a rank that was killed, then the first error of any other kind.

    Args:
        asset: for which asset.
        folder: in which ranks that failed wrote why.
        count: how many ranks there were.
        failed: exit statuses by rank of those that did not end well.
        say: told the traceback of an error that is not written for people.
    """
    written = [read_json(path) for rank in range(count) if (path := problem_file(folder, rank)).exists()]
    written.sort(key=lambda problem: problem["at"])
    for_people = [problem["line"] for problem in written if "traceback" not in problem]
    if for_people:
        return str(for_people[0])
    killed = [rank for rank, status in failed.items() if status < 0 and status != -signal.SIGTERM]
    if written and not killed:
        say(written[0]["traceback"])
        return str(written[0]["line"])
    by_itself = [rank for rank, status in failed.items() if status != -signal.SIGTERM]
    rank = next(iter([*killed, *by_itself, *failed]))
    status = failed[rank]
    how = f"was killed ({signal.Signals(-status).name})" if status < 0 else f"ended with status {status}"
    return (
        f"{asset}: rank {rank} of {count} {how}. See the run's log, then run `medcot sync` again: it goes on from the "
        "last checkpoint."
    )


@contextlib.contextmanager
def _passed_on(lines: Path, say: Say) -> Iterator[None]:
    """Say the lines that are added to a file, as they come."""
    lines.touch()
    over = threading.Event()

    def follow() -> None:
        with lines.open(encoding="utf-8") as file:
            begun = ""
            while True:
                ended = over.wait(LOOK_AGAIN_SECONDS)
                *whole, begun = (begun + file.read()).split("\n")
                for line in whole:
                    say(json.loads(line))
                if ended:
                    return

    follower = threading.Thread(target=follow, daemon=True)
    follower.start()
    try:
        yield
    finally:
        over.set()
        follower.join()
