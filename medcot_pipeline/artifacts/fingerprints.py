"""What an artifact is made from, as hashes.

Belongs here: canonical JSON, file hashes, the fingerprint's formula.
Does not: where artifacts lie (store.py).
"""

import dataclasses
import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and no white space; equal values give equal text.

    Raises:
        TypeError: a value without one canonical form (a set, an object, a callable, a mapping by anything but text);
            nothing is hashed by `repr`.
        ValueError: NaN or infinity.
    """
    _refuse_other_keys(value)
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def _refuse_other_keys(value: Any) -> None:
    """JSON would write the keys 1 and "1" alike."""
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                raise TypeError(f"a mapping with the key {key!r} has no canonical JSON: keys are text")
            _refuse_other_keys(item)
    elif isinstance(value, list | tuple):
        for item in value:
            _refuse_other_keys(item)


def sha256_text(text: str) -> str:
    """Hexadecimal sha256 of UTF-8 text."""
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def sha256_file(path: Path) -> str:
    """Hexadecimal sha256 of a file's bytes, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@dataclasses.dataclass(frozen=True)
class Identity:
    """Everything that an artifact depends on.

    Attributes:
        asset: asset key.
        code_version: the stage's version constant.
        settings: the settings that the stage declares it reads, JSON values only.
        inputs: content hash of every upstream artifact, by asset key.
        external: content hash of every input from outside the graph, by name.
    """

    asset: str
    code_version: str
    settings: Mapping[str, Any]
    inputs: Mapping[str, str]
    external: Mapping[str, str]

    @property
    def fingerprint(self) -> str:
        """sha256 over the canonical JSON of all five parts."""
        return sha256_text(canonical_json(dataclasses.asdict(self)))


class FileHashes:
    """File hashes remembered by path, inode, size, and times of change, so that each file is read once.

    The memory is a convenience: it can be deleted at any time, and a damaged one, or a disk without room for it, costs
    only time.
    """

    def __init__(self, memory: Path) -> None:
        """Args: memory: JSON file that keeps the hashes between processes."""
        self._memory = memory
        self._known: dict[str, list[Any]] | None = None

    def of(self, path: Path) -> str:
        """sha256 of the file as it is now.

        Raises:
            OSError: the file cannot be read.
        """
        state = path.stat()
        key = str(path.resolve())
        stamp = [state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns]
        known = self._load()
        if known.get(key, [None])[:-1] == stamp:
            return str(known[key][-1])
        digest = sha256_file(path)
        known[key] = [*stamp, digest]
        self._save(known)
        return digest

    def _load(self) -> dict[str, list[Any]]:
        if self._known is None:
            self._known = self._read()
        return self._known

    def _read(self) -> dict[str, list[Any]]:
        try:
            kept = json.loads(self._memory.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return kept if isinstance(kept, dict) and all(isinstance(entry, list) for entry in kept.values()) else {}

    def _save(self, known: dict[str, list[Any]]) -> None:
        name = None
        try:
            self._memory.parent.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=self._memory.parent, prefix=".hashes-")
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump(self._read() | known, file)  # what another process hashed meanwhile stays known
            Path(name).replace(self._memory)
        except OSError:
            if name:
                Path(name).unlink(missing_ok=True)
