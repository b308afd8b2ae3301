"""DAGSTER_HOME: where it is, and making it once.

Belongs here: folder, `dagster.yaml`, storage, the pool `gpu`.
Does not: runs (passes.py).
"""

import fcntl
import os
from importlib import resources
from pathlib import Path

from medcot_pipeline.assets.publication import GPU_POOL
from medcot_pipeline.errors import MedcotError
from medcot_pipeline.settings import project_root

MODULE = "medcot_pipeline.definitions"


def dagster_home() -> Path:
    """`DAGSTER_HOME`, or `.dagster/` in the project; absolute."""
    return (project_root() / os.environ.get("DAGSTER_HOME", ".dagster")).resolve()


def initialise() -> Path:
    """Make the home, its `dagster.yaml`, its storage and the pool, each once; safe when two start together.

    Afterwards `DAGSTER_HOME` is set for this process.

    Raises:
        MedcotError: the folder cannot be written.
    """
    import dagster as dg

    home = dagster_home()
    try:
        home.mkdir(parents=True, exist_ok=True)
        with (home / ".init.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            _write_once(home / "dagster.yaml")
            os.environ["DAGSTER_HOME"] = str(home)
            with dg.DagsterInstance.get() as instance:
                storage = instance.event_log_storage
                if not any(limit.name == GPU_POOL for limit in storage.get_pool_limits()):
                    storage.set_concurrency_slots(GPU_POOL, 1)
    except OSError as error:
        raise MedcotError(
            f"{home}: cannot be written ({error.strerror}).", "Set DAGSTER_HOME to a folder that can."
        ) from error
    return home


def _write_once(path: Path) -> None:
    if not path.exists():
        text = (resources.files("medcot_pipeline.instance") / "dagster.yaml").read_text(encoding="utf-8")
        path.write_text(text, encoding="utf-8")
