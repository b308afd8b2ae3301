"""Starting a child process: the command, its environment and what it is told.

Belongs here: what every child process needs, whoever starts it.
Does not belong here: what the child does with it (child.py), starting it through Dagster (orchestration/assets.py).
"""

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel

from medcot_pipeline.compute.gpus import GpusAsked, gpus_to_use, visible_gpus
from medcot_pipeline.support.errors import MedcotError
from medcot_pipeline.support.progress import Say

Arguments = TypeVar("Arguments", bound=BaseModel)


@dataclass(frozen=True)
class Launch:
    """A child process to be started: its command, variables to set, and what it is told through Dagster Pipes."""

    command: Sequence[str]
    environment: Mapping[str, str]
    told: Mapping[str, Any]


def launch_of(
    asset: str,
    function: Callable[[Arguments, Say], dict[str, Any]],
    arguments: Arguments,
    *,
    place: str,
    holder: str,
    data: Path,
    gpus: GpusAsked = 1,
) -> Launch:
    """The child process that calls a function.

    Args:
        asset: for which asset.
        function: of a module, which the child imports by its name.
        arguments: what it is called with.
        place: stands before every line that the child says.
        holder: what others call the child while they wait for the GPU.
        data: the data folder.
        gpus: on how many it runs, as set.

    Raises:
        MedcotError: more GPUs are asked for than are visible.
    """
    told = {
        "asset": asset,
        "job": f"{function.__module__}.{function.__qualname__}",
        "arguments": arguments.model_dump(mode="json"),
        "place": place,
        "gpus": gpus_to_use(gpus, len(visible_gpus())),
        "lock": {"data": str(data), "holder": holder},
        "parent": os.getpid(),
    }
    # -P: no module out of the working folder. The last word is for whoever waits for the GPU, and for `ps`.
    command = [sys.executable, "-P", "-m", "medcot_pipeline.compute.child", holder]
    return Launch(command, child_environment(data / "cache"), told)


def child_environment(cache: Path) -> dict[str, str]:
    """Variables that a child process needs before it loads anything.

    PyTorch and bitsandbytes bring an OpenMP each, whose threads wait for one another by spinning: beside any other work
    on few cores that made training and generation five to seven times slower. And PyTorch keeps the code that it
    compiles in a folder of the shared temporary one whose name anybody can guess, and runs what it finds there.

    Args:
        cache: folder for what can be made again.
    """
    defaults = {"OMP_WAIT_POLICY": "PASSIVE", "TORCHINDUCTOR_CACHE_DIR": str(cache / "torchinductor")}
    return {name: os.environ.get(name) or value for name, value in defaults.items()}


def result_of(asset: str, messages: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What a child that ended has reported.

    Raises:
        MedcotError: it says what is wrong, or reported nothing.
    """
    reported = {key: value for message in messages for key, value in message.items()}
    if "problem" in reported:
        raise MedcotError(reported["problem"])
    if "result" not in reported:
        raise MedcotError(f"{asset}: the child process ended without a result.", "See the run's log.")
    return dict(reported["result"])
