"""Small jobs for tests of ranks: what they can do together, and how they fail."""

import os
import signal
import time
from typing import Any

import pydantic

from medcot_pipeline.compute.together import ranks_here
from medcot_pipeline.support.errors import MedcotError
from medcot_pipeline.support.progress import Say


class Failure(pydantic.BaseModel):
    """How a rank fails, if one does.

    Attributes:
        how: `says` or `is killed`; empty: none fails.
        rank: which one.
    """

    how: str = ""
    rank: int = 0


def meet(arguments: Failure, say: Say) -> dict[str, Any]:
    """Do together whatever ranks can do together; one may fail while the others wait for it."""
    import torch

    ranks = ranks_here()
    say(f"one line of {ranks.size} ranks\nwith two parts")
    decided = ranks.decided("number", lambda: ranks.rank + 7)
    gathered = ranks.gathered("ranks", ranks.rank)
    order = ranks.first_before_others("clock", time.monotonic)
    ranks.join()
    if arguments.how and ranks.rank == arguments.rank:
        _fail(arguments.how)
    weights = [torch.full((2, 2), float(ranks.rank)), torch.ones(3)]
    numbers = ranks.add_up(weights, [torch.tensor(0.5), float(ranks.rank == 1)])
    return {
        "decided": ranks.gathered("decided", decided),
        "gathered": gathered,
        "clocks": ranks.gathered("clocks", order),
        "sums": [weight.tolist() for weight in weights],
        "numbers": numbers.tolist(),
        "total": ranks.total(ranks.rank),
        "environment": ranks.gathered("environment", dict(os.environ)),
        "parents": ranks.gathered("parents", os.getppid()),
    }


def wait(arguments: Failure, say: Say) -> dict[str, Any]:
    """Say the process numbers of all ranks, and wait to be killed."""
    say(" ".join(map(str, ranks_here().gathered("processes", os.getpid()))))
    time.sleep(600)
    return {}


def _fail(how: str) -> None:
    if how == "says":
        raise MedcotError("The disk is gone.", "Bring it back.")
    os.kill(os.getpid(), signal.SIGKILL)
