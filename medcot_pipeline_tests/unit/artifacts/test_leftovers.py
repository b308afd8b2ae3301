import os
import time
from pathlib import Path

import pytest

from medcot_pipeline.artifacts import ArtifactStore, Identity
from medcot_pipeline.artifacts.leftovers import clear_leftovers
from medcot_pipeline.support.locks import hold
from medcot_pipeline_tests.support.artifacts import PASSED, publish

ASSET = "toy_rows"
IDENTITY = Identity(ASSET, "1", {}, {}, {})
FINGERPRINT = IDENTITY.fingerprint


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    """A store with one artifact."""
    store = ArtifactStore(tmp_path, tmp_path)
    publish(store, IDENTITY, {"rows.txt": "rows"})
    return store


def age(path: Path, seconds: float) -> None:
    then = time.time() - seconds
    os.utime(path, (then, then), follow_symlinks=False)


def test_where_nothing_was_left_nothing_is_removed(store: ArtifactStore) -> None:
    before = sorted(store.root.rglob("*"))
    assert clear_leftovers(store) == []
    assert sorted(store.root.rglob("*")) == before


def test_work_of_a_published_artifact_is_removed(store: ArtifactStore) -> None:
    work = store.work(ASSET, FINGERPRINT)
    (work / "checkpoint-7").mkdir(parents=True)
    assert clear_leftovers(store) == [
        f"work/{ASSET}/{FINGERPRINT}: work of an artifact that is already published; removed"
    ]
    assert not work.exists()


def test_work_of_an_artifact_that_is_not_published_stays(store: ArtifactStore) -> None:
    work = store.work(ASSET, "f" * 64)
    work.mkdir(parents=True)
    assert clear_leftovers(store) == []
    assert work.is_dir()


def test_work_of_an_artifact_that_a_live_process_makes_again_stays(store: ArtifactStore) -> None:
    work = store.work(ASSET, FINGERPRINT)
    work.mkdir(parents=True)
    with hold(store.lock_path(ASSET, FINGERPRINT), "it", "another", print):
        assert clear_leftovers(store) == []
    assert work.is_dir()


@pytest.mark.parametrize(
    "name",
    [
        f"current/.{ASSET}-0a1b",
        "cache/.hashes-0a1b",
        ".packs-shown.json-0a1b2c3d.part",
        "incoming/.revision.json-0a1b2c3d.part",
        f"work/{ASSET}/{'f' * 64}/.plan.json-0a1b2c3d.part",
    ],
)
def test_an_old_temporary_file_is_removed_and_a_new_one_stays(store: ArtifactStore, name: str) -> None:
    path = store.root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to("nowhere")
    assert clear_leftovers(store) == []
    age(path, 3600)
    assert clear_leftovers(store) == [f"{name}: temporary file of a process that has ended; removed"]
    assert not path.is_symlink()


def test_what_others_are_still_copying_into_a_folder_stays(store: ArtifactStore) -> None:
    copied = store.root / "incoming" / ".june.jsonl.part"
    copied.parent.mkdir()
    copied.touch()
    age(copied, 3600)
    assert clear_leftovers(store) == []


def test_a_folder_in_the_place_of_a_link_is_set_aside_and_the_link_made_again(store: ArtifactStore) -> None:
    link = store.root / "current" / ASSET
    link.unlink()
    link.mkdir()
    (link / "mine.txt").write_text("somebody's own file")
    (line,) = clear_leftovers(store)
    assert line.startswith(f"current/{ASSET}: not a link to an artifact; set aside in ")
    (kept,) = store.root.glob("damaged/current/*/mine.txt")
    assert kept.read_text() == "somebody's own file"
    assert store.current(ASSET) is None
    assert store.publish(IDENTITY, lambda folder: {}, lambda folder: PASSED).reused
    assert store.current(ASSET) is not None


def test_a_pass_that_meets_a_folder_in_the_place_of_a_link_sets_it_aside_too(store: ArtifactStore) -> None:
    link = store.root / "current" / ASSET
    link.unlink()
    link.mkdir()
    publish(store, IDENTITY, {})
    assert link.is_symlink()
    assert len(list(store.root.glob("damaged/current/*"))) == 1
