"""What an artifact is made from, as hashes.

Belongs here: canonical JSON, file hashes, the fingerprint's formula.
Does not belong here: where artifacts lie (store.py).
"""

import dataclasses
import errno
import hashlib
import json
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from medcot_pipeline.artifacts.hash_memory import HashMemory, stamp_text
from medcot_pipeline.support.errors import NOT_THERE, reading


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
    """File hashes remembered by path, inode, size, and times of change, so that each file is read once."""

    def __init__(self, memory: Path) -> None:
        """Args: memory: file that keeps the hashes between processes (hash_memory.py)."""
        self._memory = HashMemory(memory)

    @property
    def memory(self) -> Path:
        """The file that keeps the hashes, for another process."""
        return self._memory.path

    def of(self, path: Path) -> str:
        """sha256 of the file as it is now.

        Raises:
            FileNotFoundError, NotADirectoryError: there is no such file.
            Unreadable: it cannot be read right now.
        """
        with reading(path):
            key, stamp = _key_and_stamp(path)
            return self._memory.find(key, stamp) or self._read(path, key, stamp)

    def problem(self, path: Path, expected: str) -> str | None:
        """What is wrong with a file that is to have a sha256: "is missing", "has changed", or None.

        Only a hash that was read just now shows a change, never a remembered one.

        Raises:
            Unreadable: nothing can be said right now.
        """
        try:
            if self.of(path) == expected:
                return None
            with reading(path):
                return None if self._read(path, *_key_and_stamp(path)) == expected else "has changed"
        except NOT_THERE:
            return "is missing"

    def _read(self, path: Path, key: str, stamp: str) -> str:
        digest = sha256_file(path)
        self._memory.keep(key, stamp, digest)
        return digest


def _key_and_stamp(path: Path) -> tuple[str, str]:
    state = path.stat()
    if not stat.S_ISREG(state.st_mode):
        raise FileNotFoundError(errno.ENOENT, "not a regular file", str(path))
    return str(path.resolve()), stamp_text(state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns)
