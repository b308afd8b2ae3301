"""Weights & Biases: a run is tracked where that works, and trained in any case.

Belongs here: starting and ending a tracked run, and what happens when the server does not answer.
Does not belong here: when something is logged (training/steps/callbacks.py).
"""

import os
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from medcot_pipeline.settings import TrackingSettings
from medcot_pipeline.support.progress import Say

INIT_SECONDS = 30
FINISH_SECONDS = 60
"""Waited for the last uploads: without a limit a server that went away would hold the GPU for ever."""


class Tracking:
    """One tracked run. A failure is reported once and ends the tracking, never the training."""

    def __init__(self, run: Any, say: Say) -> None:
        """Args: run: of `wandb.init`; say: where a problem is said."""
        self._run: Any | None = run
        self._say = say

    def log(self, values: dict[str, Any], step: int) -> None:
        """Log numbers under `train/`, as the library's own integration does."""
        self._try(lambda run: run.log({f"train/{name}": value for name, value in values.items()}, step=step))

    def finish(self) -> None:
        """Wait for the last uploads, but not for ever; what was not uploaded stays in the run's folder."""
        self._try(lambda run: run.finish())
        self._run = None

    def _try(self, action: Any) -> None:
        if self._run is None:
            return
        try:
            action(self._run)
        except Exception as error:
            # Its service is a process of its own, which can end with errors of any kind.
            self._say(f"Weights & Biases failed ({_reason(error)}): tracking has ended, training goes on")
            self._run = None


def start_tracking(
    settings: TrackingSettings, folder: Path, name: str, config: dict[str, Any], say: Say
) -> Tracking | None:
    """Start a run; a server that does not answer makes it an offline one, which `wandb sync` uploads later.

    Where it cannot start at all, as under a WANDB_BASE_URL that is no address, that is said and nothing is tracked.

    Args:
        settings: mode and project.
        folder: where it keeps its files.
        name: of the run.
        config: hyper-parameters to show beside it.
        say: where a problem is said.

    Returns:
        The tracked run, or none where tracking is off or cannot start.
    """
    if settings.wandb_mode == "disabled":
        return None
    import wandb

    folder.mkdir(parents=True, exist_ok=True)
    os.environ["WANDB_SILENT"] = "true"
    options: dict[str, Any] = {"project": settings.wandb_project, "dir": str(folder), "name": name, "config": config}
    try:
        bounded = wandb.Settings(init_timeout=INIT_SECONDS, finish_timeout=FINISH_SECONDS, silent=True)
        try:
            run = wandb.init(**options, mode=settings.wandb_mode, settings=bounded)
        except (wandb.errors.Error, OSError) as error:
            say(f"Weights & Biases does not answer ({_reason(error)}): tracking offline in {folder}")
            run = wandb.init(**options, mode="offline", settings=bounded)
    except Exception as error:  # its settings come from variables and files of all kinds
        say(f"Weights & Biases cannot start ({_reason(error)}): this run is not tracked")
        return None
    return Tracking(run, say)


def _reason(error: Exception) -> str:
    """What an error says, in one short line; not the value of a setting, which can hold a password."""
    if isinstance(error, ValidationError):
        names = ", ".join(str(part) for problem in error.errors(include_input=False) for part in problem["loc"])
        return f"its setting {names} cannot be used"
    return " ".join(f"{error.__class__.__name__}: {error}".split())[:120]
