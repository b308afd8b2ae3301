"""What comes in from outside while nobody looks: the followed revision of the public data set, and further rows.

Both lie below the data folder as files, so that they are inputs like any other: by content hash. `revision.json` is
written by the sensor and read in the place of the pinned revision where `source.follow_hub` is set; whoever wants an
older state back writes its revision there, or unsets `follow_hub`. The rows of every file in the folder of further rows
are read behind those of the source, file by file in the order of their names.

Belongs here: where these files lie, and what they say.
Does not belong here: asking the hub, or reading rows (source.py).
"""

import contextlib
import re
from pathlib import Path
from typing import Any

from medcot_pipeline.settings import SourceSettings
from medcot_pipeline.support.errors import MedcotError
from medcot_pipeline.support.folders import files_in
from medcot_pipeline.support.json_files import read_json, write_json
from medcot_pipeline.support.row_files import KNOWN_FORMATS, file_format

REVISION_FILE = Path("incoming/revision.json")
MOST_NAMED = 10
"""Lines about things in the folder of further rows that are not read."""
_REVISION = re.compile("[0-9a-f]{40}")


def note_revision(data: Path, repository: str, revision: str) -> None:
    """Write down the revision to follow, in one step, where it is another than before."""
    path, noted = data / REVISION_FILE, {"repository": repository, "revision": revision}
    with contextlib.suppress(FileNotFoundError, ValueError):
        if read_json(path) == noted:
            return
    write_json(path, noted)


def followed(settings: SourceSettings, data: Path) -> SourceSettings:
    """The source at the revision to read: the one that was written down for this data set, else the pinned one.

    Raises:
        MedcotError: the file does not hold a revision.
    """
    path = data / REVISION_FILE
    if not settings.follow_hub or not path.is_file():
        return settings
    try:
        noted: Any = read_json(path)
        repository, revision = noted["repository"], noted["revision"]
    except (ValueError, TypeError, KeyError) as error:
        raise MedcotError(
            f"{path}: no revision can be read from it ({error!r}).", "Delete it; the sensor will write it again."
        ) from error
    if not isinstance(revision, str) or not _REVISION.fullmatch(revision):
        raise MedcotError(f"{path}: revision {revision!r} is not 40 hexadecimal digits.", "Correct or delete it.")
    return settings.model_copy(update={"revision": revision}) if repository == settings.repository else settings


def row_files(settings: SourceSettings, data: Path) -> list[Path]:
    """Files with further rows, sorted by name."""
    return [path for path in files_in(data / settings.incoming) if file_format(path)]


def passed_over(settings: SourceSettings, data: Path) -> list[str]:
    """A line for each other entry, which is not read, with the reason; hidden ones count as unfinished."""
    found = [(path.name, _why_not_read(path)) for path in _lying_there(settings, data)]
    lines = [f"passed over: {_printable(name)} ({why})" for name, why in found if why]
    more = [f"passed over: {len(lines) - MOST_NAMED:,} more"] if len(lines) > MOST_NAMED else []
    return lines[:MOST_NAMED] + more


def _lying_there(settings: SourceSettings, data: Path) -> list[Path]:
    return sorted((data / settings.incoming).glob("[!.]*"))


def _why_not_read(path: Path) -> str:
    """Empty for a file with rows."""
    if path.is_dir():
        return "a folder: only files beside it are read"
    if not path.is_file():
        return "no regular file"
    return "" if file_format(path) else f"unknown format; known: {KNOWN_FORMATS}"


def _printable(name: str) -> str:
    return name if name.isprintable() else ascii(name)[1:-1]
