import contextlib
import dataclasses
import hashlib
import json
import math
import os
import random
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from medcot_pipeline.artifacts import FileHashes, Identity, canonical_json, hash_memory, sha256_file, sha256_text
from medcot_pipeline.artifacts.hash_memory import MEMORY
from medcot_pipeline.support.errors import Unreadable

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20)
FEW = settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow], deadline=None)
IDENTITY = Identity("sft_dataset", "1", {"sft.max_tokens": 2048}, {"corpus_splits": "a" * 64}, {"card": "b" * 64})


def shuffled(value: Any, rng: random.Random) -> Any:
    """The same value with the keys of every mapping in another order."""
    if isinstance(value, dict):
        names = list(value)
        rng.shuffle(names)
        return {name: shuffled(value[name], rng) for name in names}
    return [shuffled(item, rng) for item in value] if isinstance(value, list) else value


@FEW
@given(VALUES, st.randoms(use_true_random=False))
def test_the_order_of_keys_does_not_matter(value: Any, rng: random.Random) -> None:
    assert canonical_json(shuffled(value, rng)) == canonical_json(value)


@FEW
@given(VALUES)
def test_canonical_json_loses_nothing(value: Any) -> None:
    assert json.loads(canonical_json(value)) == value


def test_canonical_json_has_no_white_space_and_keeps_chinese() -> None:
    assert canonical_json({"b": ["肺", 1.5], "a": None}) == '{"a":null,"b":["肺",1.5]}'


@pytest.mark.parametrize("value", [{"a"}, object(), len, Path("a"), b"a", {1: "a"}, {"a": [{None: 1}]}])
def test_what_has_no_canonical_form_is_refused(value: Any) -> None:
    with pytest.raises(TypeError):
        canonical_json({"setting": value})


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_a_number_that_json_does_not_know_is_refused(number: float) -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        canonical_json({"setting": number})


@pytest.mark.parametrize(
    "change",
    [
        {"asset": "base_model"},
        {"code_version": "2"},
        {"settings": {"sft.max_tokens": 2049}},
        {"inputs": {"corpus_splits": "c" * 64}},
        {"external": {"card": "c" * 64}},
    ],
    ids=lambda change: next(iter(change)),
)
def test_each_part_of_an_identity_changes_its_fingerprint(change: dict[str, Any]) -> None:
    assert dataclasses.replace(IDENTITY, **change).fingerprint != IDENTITY.fingerprint


def test_a_name_that_moves_from_inputs_to_external_changes_the_fingerprint() -> None:
    moved = dataclasses.replace(IDENTITY, inputs={}, external={**IDENTITY.external, **IDENTITY.inputs})
    assert moved.fingerprint != IDENTITY.fingerprint


def test_the_fingerprint_is_the_sha256_of_all_parts() -> None:
    text = (
        f'{{"asset":"sft_dataset","code_version":"1","external":{{"card":"{"b" * 64}"}},'
        f'"inputs":{{"corpus_splits":"{"a" * 64}"}},"settings":{{"sft.max_tokens":2048}}}}'
    )
    assert IDENTITY.fingerprint == hashlib.sha256(text.encode()).hexdigest()


def test_hashes_are_those_of_sha256(tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    path.write_text("左肺腺癌", encoding="utf-8")
    expected = hashlib.sha256("左肺腺癌".encode()).hexdigest()
    assert (sha256_file(path), sha256_text("左肺腺癌")) == (expected, expected)


@pytest.fixture
def memory(tmp_path: Path) -> Path:
    return tmp_path / "cache" / MEMORY


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b"one row\nanother\n")
    return path


def remember(memory: Path, digest: str) -> None:
    """Put a digest into the memory that no file has, so that an answer out of the memory can be told."""
    with contextlib.closing(sqlite3.connect(memory)) as connection, connection:
        assert connection.execute("UPDATE hashes SET sha256 = ?", (digest,)).rowcount == 1


def test_a_flipped_byte_of_the_same_size_is_noticed(memory: Path, rows: Path) -> None:
    hashes = FileHashes(memory)
    before = hashes.of(rows)
    rows.write_bytes(rows.read_bytes().replace(b"o", b"0", 1))
    assert hashes.of(rows) == sha256_file(rows) != before


def test_a_file_replaced_by_another_of_the_same_size_and_time_is_noticed(
    tmp_path: Path, memory: Path, rows: Path
) -> None:
    FileHashes(memory).of(rows)
    state = rows.stat()
    other = tmp_path / "other"
    other.write_bytes(rows.read_bytes().upper())
    os.utime(other, ns=(state.st_atime_ns, state.st_mtime_ns))
    other.replace(rows)
    assert FileHashes(memory).of(rows) == sha256_file(rows)


def test_an_unchanged_file_is_remembered_by_another_process(memory: Path, rows: Path) -> None:
    FileHashes(memory).of(rows)
    remember(memory, "out of the memory")
    assert FileHashes(memory).of(rows) == "out of the memory"


def test_a_touched_file_is_read_again(memory: Path, rows: Path) -> None:
    FileHashes(memory).of(rows)
    remember(memory, "out of the memory")
    rows.touch()
    assert FileHashes(memory).of(rows) == sha256_file(rows)


def overwritten(memory: Path) -> None:
    memory.write_bytes(bytes(range(256)) * (memory.stat().st_size // 256))


def cut_off(memory: Path) -> None:
    os.truncate(memory, memory.stat().st_size // 2)


def emptied(memory: Path) -> None:
    os.truncate(memory, 0)


def rotten_inside(memory: Path) -> None:
    pages = bytearray(memory.read_bytes())
    pages[4096:] = os.urandom(len(pages) - 4096)
    memory.write_bytes(pages)


def of_another_schema(memory: Path) -> None:
    memory.unlink()
    with contextlib.closing(sqlite3.connect(memory)) as connection:
        connection.execute("CREATE TABLE hashes (file TEXT)")


@pytest.mark.parametrize("damage", [overwritten, cut_off, emptied, rotten_inside, of_another_schema])
def test_a_damaged_memory_costs_only_time(memory: Path, rows: Path, damage: Callable[[Path], None]) -> None:
    hashes = FileHashes(memory)
    hashes.of(rows)
    del hashes  # closes it
    damage(memory)
    assert FileHashes(memory).of(rows) == sha256_file(rows)
    remember(memory, "mended")
    assert FileHashes(memory).of(rows) == "mended"


def test_a_memory_that_cannot_be_written_costs_only_time(tmp_path: Path, rows: Path) -> None:
    (tmp_path / "file").write_text("in the way of the folder")
    assert FileHashes(tmp_path / "file" / "memory.json").of(rows) == sha256_file(rows)


def test_a_memory_that_another_process_locks_costs_only_time(
    memory: Path, rows: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hash_memory, "WAIT_SECONDS", 0.1)
    FileHashes(memory).of(rows)
    rows.write_bytes(b"other rows")
    with contextlib.closing(sqlite3.connect(memory, isolation_level=None)) as another:
        another.execute("BEGIN IMMEDIATE")
        assert FileHashes(memory).of(rows) == sha256_file(rows)
        another.execute("ROLLBACK")
    FileHashes(memory).of(rows)
    remember(memory, "kept since")
    assert FileHashes(memory).of(rows) == "kept since"


@pytest.mark.parametrize("path", [Path("/dev/null"), Path("gone"), Path()], ids=["device", "gone", "folder"])
def test_what_is_no_file_has_no_hash(memory: Path, tmp_path: Path, path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        FileHashes(memory).of(tmp_path / path)


def test_what_an_earlier_version_remembered_as_json_is_taken_over_once(memory: Path, rows: Path) -> None:
    state = rows.stat()
    earlier = memory.parent / "file-hashes.json"
    earlier.parent.mkdir()
    stamp = [state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns]
    earlier.write_text(json.dumps({str(rows.resolve()): [*stamp, "out of the JSON"]}))
    assert FileHashes(memory).of(rows) == "out of the JSON"
    assert not earlier.exists()


@pytest.mark.parametrize("text", ["", '{"half": [1, ', "[]", "null", '{"%s": 5}', '{"%s": []}', '{"%s": [1, 2]}'])
def test_a_damaged_memory_of_an_earlier_version_costs_only_time(memory: Path, rows: Path, text: str) -> None:
    earlier = memory.parent / "file-hashes.json"
    earlier.parent.mkdir()
    earlier.write_text(text.replace("%s", str(rows)))
    assert FileHashes(memory).of(rows) == sha256_file(rows)
    assert not earlier.exists()


MANY = """
import os, sys
from pathlib import Path
from medcot_pipeline.artifacts import FileHashes

memory, folder, own = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
hashes = FileHashes(memory)
sys.stdin.readline()
for path in sorted(folder.glob(f"{own}-*")):
    hashes.of(path)
"""


def test_many_processes_and_threads_remember_at_once_and_nothing_is_lost(memory: Path, tmp_path: Path) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    for own in range(4):
        for number in range(50):
            (folder / f"{own}-{number}").write_text(f"{own} {number}")
    command = [sys.executable, "-c", MANY, str(memory), str(folder)]
    others = [subprocess.Popen([*command, str(own)], stdin=subprocess.PIPE, text=True) for own in range(2)]
    hashes = FileHashes(memory)
    for other in others:
        assert other.stdin
        other.stdin.write("\n")
        other.stdin.flush()
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(hashes.of, sorted(folder.glob("[23]-*"))))
    assert [other.wait() for other in others] == [0, 0]
    with contextlib.closing(sqlite3.connect(memory)) as connection:
        kept = dict(connection.execute("SELECT path, sha256 FROM hashes"))
    assert kept == {os.fsencode(path.resolve()): sha256_file(path) for path in folder.iterdir()}


def test_a_forked_process_uses_a_connection_of_its_own(memory: Path, tmp_path: Path) -> None:
    hashes = FileHashes(memory)
    for name in ("before", "child", "after"):
        (tmp_path / name).write_text(name)
    hashes.of(tmp_path / "before")
    child = os.fork()
    if not child:
        hashes.of(tmp_path / "child")
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    hashes.of(tmp_path / "after")
    with contextlib.closing(sqlite3.connect(memory)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("SELECT count(*) FROM hashes").fetchall() == [(3,)]


def test_a_name_that_is_not_utf8_is_remembered(memory: Path, tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xb2\xa1\xc0\xfd.jsonl"))
    path.write_text("a name out of a Chinese zip")
    FileHashes(memory).of(path)
    remember(memory, "remembered")
    assert FileHashes(memory).of(path) == "remembered"


def test_a_file_that_cannot_be_read_for_the_moment_is_one_line_and_not_missing(memory: Path, tmp_path: Path) -> None:
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    for ask in (FileHashes(memory).of, lambda path: FileHashes(memory).problem(path, "0" * 64)):
        with pytest.raises(Unreadable) as raised:
            ask(loop)
        assert str(raised.value) == (
            f"{loop}: cannot be read right now (ELOOP: Too many levels of symbolic links); it was left unchanged. "
            "Fix that and try again."
        )


def test_a_hash_that_is_remembered_wrongly_is_no_damage(memory: Path, rows: Path) -> None:
    FileHashes(memory).of(rows)
    remember(memory, "0" * 64)
    assert FileHashes(memory).problem(rows, sha256_file(rows)) is None
    assert FileHashes(memory).of(rows) == sha256_file(rows)
