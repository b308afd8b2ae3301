"""A process of its own that tracks one step: wandb reads its settings once.

Belongs here: its program and what it says.
Does not belong here: the files and variables that it finds.
"""

import os
import subprocess
import sys
from pathlib import Path

from medcot_pipeline_tests.support.home import ROOT

SCRIPT = """
import sys
from pathlib import Path
from medcot_pipeline.settings import TrackingSettings
from medcot_pipeline.training.outcome.tracking import start_tracking
from medcot_pipeline_tests.support.home import ROOT
tracked = start_tracking(TrackingSettings(wandb_mode=sys.argv[1]), Path("wandb"), "a run", {}, print)
if tracked:
    tracked.log({"loss": 1.0}, 1)
    tracked.finish()
print("trained on", "tracked" if tracked else "untracked")
"""


def start_alone(folder: Path, mode: str, **variables: str) -> list[str]:
    """What a process of its own says that starts to track in a folder: wandb reads its settings once."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("WANDB_")}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, mode],
        cwd=folder,
        env={**kept, "PYTHONPATH": str(ROOT), "HOME": str(folder), **variables},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()
