"""Weights & Biases: a run is tracked where that works, and trained in any case.

Belongs here: starting a tracked run.
Does not: what is logged to it (the trainer's callback).
"""

import os
from pathlib import Path
from typing import Any

from medcot_pipeline.progress import Say
from medcot_pipeline.settings import TrackingSettings

INIT_SECONDS = 30


def start_tracking(settings: TrackingSettings, folder: Path, name: str, config: dict[str, Any], say: Say) -> bool:
    """Start a run; a server that does not answer makes it an offline one, which `wandb sync` uploads later.

    Args:
        settings: mode and project.
        folder: where it keeps its files.
        name: of the run.
        config: hyper-parameters to show beside it.
        say: where a problem is said.

    Returns:
        Whether anything is tracked.
    """
    if settings.wandb_mode == "disabled":
        return False
    import wandb

    folder.mkdir(parents=True, exist_ok=True)
    os.environ["WANDB_SILENT"] = "true"
    options: dict[str, Any] = {"project": settings.wandb_project, "dir": str(folder), "name": name, "config": config}
    try:
        wandb.init(**options, mode=settings.wandb_mode, settings=wandb.Settings(init_timeout=INIT_SECONDS, silent=True))
    except (wandb.errors.Error, OSError) as error:
        reason = " ".join(str(error).split())[:120]
        say(f"Weights & Biases does not answer ({reason}): tracking offline in {folder}")
        wandb.init(**options, mode="offline", settings=wandb.Settings(silent=True))
    return True
