import dataclasses
import hashlib
import json
import math
import os
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from medcot_pipeline.artifacts import FileHashes, Identity, canonical_json, sha256_file, sha256_text

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
    return tmp_path / "cache" / "file-hashes.json"


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b"one row\nanother\n")
    return path


def remember(memory: Path, digest: str) -> None:
    """Put a digest into the memory that no file has, so that an answer out of the memory can be told."""
    known = json.loads(memory.read_text())
    memory.write_text(json.dumps({path: [*stamp, digest] for path, (*stamp, _) in known.items()}))


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


@pytest.mark.parametrize(
    "damage", [b"", b"\xff\xfe", b'{"half": [1, ', b"[]", b"null", b'{"%s": 5}', b'{"%s": []}', b'{"%s": [1, 2]}']
)
def test_a_damaged_memory_costs_only_time(memory: Path, rows: Path, damage: bytes) -> None:
    memory.parent.mkdir()
    memory.write_bytes(damage.replace(b"%s", str(rows).encode()))
    assert FileHashes(memory).of(rows) == sha256_file(rows)
    remember(memory, "mended")
    assert FileHashes(memory).of(rows) == "mended"


def test_a_memory_that_cannot_be_written_costs_only_time(tmp_path: Path, rows: Path) -> None:
    (tmp_path / "file").write_text("in the way of the folder")
    assert FileHashes(tmp_path / "file" / "memory.json").of(rows) == sha256_file(rows)


def test_a_missing_file_has_no_hash(memory: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        FileHashes(memory).of(tmp_path / "gone")
