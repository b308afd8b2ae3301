"""Copy the SQLite files of a Dagster home while it is in use: `python sqlite_copy.py HOME TARGET`."""

import shutil
import sqlite3
import sys
from contextlib import closing
from pathlib import Path


def main(home: Path, target: Path) -> None:
    """Copy each database by SQLite's own backup, which waits for writers and gives one consistent state."""
    for source in sorted(home.rglob("*.db")):
        copy = target / source.relative_to(home)
        copy.parent.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(source)) as database, closing(sqlite3.connect(copy)) as copied:
            database.backup(copied)
        shutil.copymode(source, copy)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
