"""The files of a folder from outside the project.

The code that reads such a folder and the code that hashes it take their list from one function, built on this one: a
file that is read without being hashed would change the result and leave it fresh.

Belongs here: listing.
Does not belong here: which files of a folder count (the module that reads them).
"""

import os
import stat
from pathlib import Path

from medcot_pipeline.support.errors import NOT_THERE, reading


def files_in(folder: Path, *, deep: bool = False) -> list[Path]:
    """Regular files of a folder, sorted; none where there is no such folder.

    Hidden ones are passed over, such as `._rows.json`, which macOS leaves beside `rows.json`; so are hidden folders.

    Args:
        folder: the folder.
        deep: those of its subfolders too; links to folders are not followed.

    Raises:
        Unreadable: the folder or a part of it cannot be read right now.
    """
    found = []
    for home, below, names in os.walk(folder, onerror=_refuse):
        found += [path for name in names if name[0] != "." and _is_file(path := Path(home, name))]
        below[:] = [name for name in below if deep and name[0] != "."]
    return sorted(found)


def _refuse(error: OSError) -> None:
    """What `os.walk` would pass over."""
    if not isinstance(error, NOT_THERE):
        with reading(Path(error.filename or "")):
            raise error


def _is_file(path: Path) -> bool:
    try:
        with reading(path):
            return stat.S_ISREG(path.stat().st_mode)
    except NOT_THERE:
        return False
