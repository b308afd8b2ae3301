"""DAGSTER_HOME: where it is, and making it once.

Belongs here: folder, `dagster.yaml`, storage.
Does not belong here: runs (passes.py).
"""

import contextlib
import fcntl
import os
import shlex
import sys
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

import yaml

from medcot_pipeline.settings import folder_of, project_root
from medcot_pipeline.support.errors import MedcotError, causes
from medcot_pipeline.support.files import write_whole
from medcot_pipeline.support.locks import flock

if TYPE_CHECKING:
    import dagster as dg

MODULE = "medcot_pipeline.definitions"
CONNECT = {"run_storage": "connect", "event_log_storage": "index_connection", "schedule_storage": "connect"}
"""How a connection to each of Dagster's storages is had."""

DAGSTER_DEV = (
    'dagster() { if [ "$1" = dev ]; then env -u DAGSTER_MODULE_NAME dagster "$@"; else command dagster "$@"; fi; }'
)
"""`dagster asset materialize` needs DAGSTER_MODULE_NAME; the servers that `dagster dev` starts hang if they see it."""


def dagster_home() -> Path:
    """`DAGSTER_HOME`, or `.dagster/` in the project; absolute.

    Raises:
        MedcotError: a path that Dagster, which gives it to SQLite as an address, would take for another one.
    """
    home = folder_of("DAGSTER_HOME", ".dagster", project_root())
    if "?" in str(home) or unquote(str(home)) != str(home):
        raise MedcotError(
            f"DAGSTER_HOME={home}: SQLite would put its databases elsewhere, since ? and % are signs to it.",
            "Set DAGSTER_HOME to a folder without them.",
        )
    return home


def shell_lines(profile: str, data: Path) -> list[str]:
    """Lines for a shell, after which the plain Dagster commands work over this home and a data folder."""
    exports = {
        "DAGSTER_HOME": str(dagster_home()),
        "DAGSTER_MODULE_NAME": MODULE,
        "MEDCOT_PROFILE": profile,
        "MEDCOT_DATA_DIR": str(data),
        "PYTHONWARNINGS": "ignore",
    }
    return [
        *(f"export {name}={shlex.quote(value)}" for name, value in exports.items()),
        f'export PATH={shlex.quote(str(Path(sys.executable).parent))}:"$PATH"',
        DAGSTER_DEV,
    ]


def home_is_made() -> bool:
    """Whether `open_instance` has made the home before."""
    return (dagster_home() / "dagster.yaml").is_file()


@contextlib.contextmanager
def open_instance() -> Iterator["dg.DagsterInstance"]:
    """The instance of the home; the home, its `dagster.yaml` and its storage are made where they are missing.

    Safe when two start together. Afterwards `DAGSTER_HOME` is set for this process.

    Raises:
        MedcotError: the home cannot be written or locked, or its storage cannot be used, now or later.
    """
    home = dagster_home()
    with contextlib.ExitStack() as stack:
        try:
            home.mkdir(parents=True, exist_ok=True)
            with (home / ".init.lock").open("w") as lock:
                flock(lock.fileno(), home, fcntl.LOCK_EX)
                _write_once(home / "dagster.yaml")
                os.environ["DAGSTER_HOME"] = str(home)
                instance = stack.enter_context(_instance(home))
        except OSError as error:
            raise MedcotError(
                f"{home}: cannot be written ({error.strerror}).", "Set DAGSTER_HOME to a folder that can."
            ) from error
        yield instance


@contextlib.contextmanager
def _instance(home: Path) -> Iterator["dg.DagsterInstance"]:
    """The instance of a home; whatever is wrong with its settings or its storage becomes one line."""
    import dagster as dg
    from sqlalchemy.exc import SQLAlchemyError

    try:
        with dg.DagsterInstance.get() as instance:
            _refuse_another_version(home, instance)
            yield instance
    except (dg.DagsterInvalidConfigError, yaml.YAMLError) as error:
        said = str(error).partition("Error 1: ")[2].partition(" Expected:")[0] or " ".join(str(error).split())
        raise MedcotError(
            f"{home / 'dagster.yaml'}: {said}", "Correct it, or delete it and run `medcot init`."
        ) from error
    except MedcotError:
        raise
    except Exception as error:  # Dagster wraps what its database says in errors of its own
        database = next((cause for cause in causes(error) if isinstance(cause, SQLAlchemyError)), None)
        if database is None:
            raise
        said = " ".join(str(getattr(database, "orig", None) or database).split())
        raise MedcotError(
            f"The storage of {home} cannot be used: {said}", "When it can again: `medcot doctor`, then `medcot sync`."
        ) from error


def _refuse_another_version(home: Path, instance: "dg.DagsterInstance") -> None:
    """A storage that another version of Dagster made would be read and written wrongly."""
    from alembic.runtime.migration import MigrationContext

    # All three share one history of schemas. Asking each for it reads ninety files again, a tenth of a short command.
    _, known = instance.run_storage.alembic_version() or (None, None)
    for storage, connect in CONNECT.items():
        with getattr(getattr(instance, storage), connect)() as connection:
            found = MigrationContext.configure(connection).get_current_revision()
        if found != known:
            raise MedcotError(
                f"{home}: its storage is of another version of Dagster (schema {found}, this one has {known}).",
                "Of an older one: run `dagster instance migrate`. Of a newer one: install that version, or set "
                "DAGSTER_HOME to another folder.",
            )


def _write_once(path: Path) -> None:
    if not path.exists():
        text = (resources.files("medcot_pipeline.orchestration.instance") / "dagster.yaml").read_text(encoding="utf-8")
        write_whole(path, text)
