"""Paths as people write them, in settings and in variables of the environment.

Belongs here: `~`, what is empty, names that are not UTF-8.
Does not belong here: whether there is such a file.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator

from medcot_pipeline.support.errors import MedcotError

FOLDERS_OF_LIBRARIES = ("HF_HOME", "HF_HUB_CACHE", "XDG_CACHE_HOME")
"""An empty one would put their files into the working folder."""


def expand(written: str | Path) -> Path:
    """The path with `~` and `~user` as the folders that they stand for.

    Raises:
        ValueError: it is empty, or there is no such user.
    """
    if written == "":
        raise ValueError("it is empty: give a path, or leave the setting out")
    try:
        return Path(written).expanduser()
    except RuntimeError as error:
        raise ValueError("there is no such user") from error


def _written(value: Any) -> Any:
    return expand(value) if isinstance(value, str | Path) else value


UserPath = Annotated[Path, BeforeValidator(_written)]
"""A path that a person wrote."""


def folder_of(variable: str, default: str, root: Path) -> Path:
    """The folder that a variable of the environment names, absolute; an empty one counts as unset.

    Args:
        variable: its name.
        default: the folder without it.
        root: folder that relative paths start from.

    Raises:
        MedcotError: the path cannot be used.
    """
    written = os.environ.get(variable) or default
    refuse_other_than_utf8({variable: written})
    try:
        path = (root / expand(written)).resolve()
    except ValueError as error:
        raise MedcotError(f"{variable}={written}: {error}.", "Correct or unset it.") from error
    require_utf8(path)
    return path


def refuse_other_than_utf8(environment: Mapping[str, str]) -> None:
    """Raises MedcotError where a value is not UTF-8: it could be stored and shown nowhere."""
    for name, value in environment.items():
        if not _is_utf8(value):
            raise MedcotError(
                f"Environment variable {name} is not UTF-8 ({value}).", "Rename what it names, or write it as UTF-8."
            )


def require_utf8(path: Path) -> None:
    """Raises MedcotError where a path is not UTF-8: it could be stored and shown nowhere."""
    if not _is_utf8(str(path)):
        raise MedcotError(f"{path}: its name is not UTF-8, as in zip archives made on Windows.", "Rename it.")


def _is_utf8(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
