"""The memory of file hashes: an SQLite file that many processes and threads use at once.

It is a convenience and can be deleted at any time. A damaged one is thrown away, and work goes on without one that
cannot be opened or written (a full or read-only disk, somebody who holds it for long). Both cost only time.

Belongs here: keeping hashes and finding them again.
Does not belong here: reading files (identity.py).
"""

import contextlib
import json
import os
import sqlite3
import threading
import weakref
from pathlib import Path
from typing import Any

from medcot_pipeline.support.files import make_folder

MEMORY = "file-hashes.sqlite"
"""Its name in the folder `cache`; another schema gets another name."""
WAIT_SECONDS = 5.0
_SCHEMA = "CREATE TABLE IF NOT EXISTS hashes (path BLOB PRIMARY KEY, stamp TEXT, sha256 TEXT) WITHOUT ROWID"
_KEEP = "INSERT OR REPLACE INTO hashes VALUES (?, ?, ?)"
Connections = dict[tuple[int, int], sqlite3.Connection]
"""By process and thread."""
_DAMAGED = (sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


class HashMemory:
    """Hashes by path and stamp; each process and thread has a connection of its own."""

    def __init__(self, path: Path) -> None:
        """Args: path: the SQLite file; it and its folder are made where they are missing."""
        self.path = path
        self._connections: Connections = {}
        weakref.finalize(self, _close, self._connections)

    def find(self, path: str, stamp: str) -> str | None:
        """The hash of a file that had this stamp, if it is known."""
        found = self._execute("SELECT sha256 FROM hashes WHERE path = ? AND stamp = ?", os.fsencode(path), stamp)
        return found[0][0] if found else None

    def keep(self, path: str, stamp: str, sha256: str) -> None:
        """Remember a file's hash, replacing what was known of its path."""
        self._execute(_KEEP, os.fsencode(path), stamp, sha256)

    def _execute(self, statement: str, *values: bytes | str) -> list[Any]:
        try:
            return self._connection().execute(statement, values).fetchall()
        except (sqlite3.Error, OSError) as error:
            if connection := self._connections.pop(_owner(), None):
                connection.close()
            if getattr(error, "sqlite_errorcode", sqlite3.SQLITE_OK) & 0xFF in _DAMAGED:
                self._throw_away()
            return []

    def _connection(self) -> sqlite3.Connection:
        owner = _owner()
        if owner not in self._connections:
            self._connections[owner] = self._open()
        return self._connections[owner]

    def _open(self) -> sqlite3.Connection:
        make_folder(self.path.parent)
        connection = sqlite3.connect(self.path, timeout=WAIT_SECONDS, isolation_level=None, check_same_thread=False)
        try:
            connection.execute("PRAGMA journal_mode = WAL")  # with it, writing a hash waits for no disk
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute(_SCHEMA)
            self._take_over(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _take_over(self, connection: sqlite3.Connection) -> None:
        """Hashes that an earlier version kept as JSON, once."""
        earlier = self.path.with_suffix(".json")
        if not earlier.is_file():
            return
        with contextlib.suppress(ValueError, TypeError, AttributeError):
            known = json.loads(earlier.read_text(encoding="utf-8"))
            rows = [(os.fsencode(path), stamp_text(*entry[:-1]), str(entry[-1])) for path, entry in known.items()]
            connection.execute("BEGIN")
            connection.executemany(_KEEP, rows)
            connection.execute("COMMIT")
        earlier.unlink(missing_ok=True)

    def _throw_away(self) -> None:
        with contextlib.suppress(OSError):
            for behind in ("-wal", "-shm", ""):
                self.path.with_name(f"{self.path.name}{behind}").unlink(missing_ok=True)


def _owner() -> tuple[int, int]:
    return os.getpid(), threading.get_ident()


def _close(connections: Connections) -> None:
    """Close what this process opened; SQLite lets nobody close what was inherited by a fork."""
    for (process, _), connection in connections.items():
        if process == os.getpid():
            connection.close()


def stamp_text(inode: int, size: int, modified_ns: int, changed_ns: int) -> str:
    """What tells one state of a file from another, as text: an inode can be larger than SQLite's numbers."""
    return f"{inode} {size} {modified_ns} {changed_ns}"
