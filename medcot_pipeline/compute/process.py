"""What a process does that runs a job, whoever started it.

Belongs here: its first steps, calling the job, and saying in one line what went wrong.
Does not belong here: whom it speaks to (child.py, rank.py), what a job does.
"""

import ctypes
import importlib
import os
import signal
import sys
import warnings
from typing import Any, get_type_hints

from medcot_pipeline.artifacts.store import disk_is_full
from medcot_pipeline.support.errors import MedcotError
from medcot_pipeline.support.progress import Say


def call(job: str, arguments: dict[str, Any], say: Say) -> dict[str, Any]:
    """Call the function of a dotted name with its arguments, which its first parameter's type checks."""
    module, _, name = job.rpartition(".")
    function = getattr(importlib.import_module(module), name)
    model = next(iter(get_type_hints(function).values()))
    return dict(function(model.model_validate(arguments), say))


def problem_of(asset: str, error: Exception) -> str:
    """What went wrong with a job, in one line: what the error says itself where it is written for people."""
    if isinstance(error, MedcotError):
        return str(error)
    way_out = " Free some space and run `medcot sync` again." if disk_is_full(error) else ""
    detail = f"{error.__class__.__name__}: {' '.join(str(error).split())[:300]}"
    return f"{asset} failed: {detail}.{way_out}"


def begin() -> None:
    """The first steps: die with the parent, answer no question, keep libraries quiet."""
    die_with_parent()
    answer_nobody()
    warnings.filterwarnings("ignore")
    os.environ.setdefault("TQDM_DISABLE", "1")  # bars of libraries would run through the progress lines


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
