import subprocess
import sys
from pathlib import Path

import pytest

from medcot_pipeline.artifacts import ArtifactStore, Identity, Manifest
from medcot_pipeline.artifacts.leftovers import clear_leftovers
from medcot_pipeline.artifacts.prune import find_unneeded, prune
from medcot_pipeline.support.errors import MedcotError, Unreadable
from medcot_pipeline_tests.support.artifacts import publish

PUBLISHING = """
import sys
from pathlib import Path
from medcot_pipeline.artifacts import ArtifactStore, CheckOutcome, Identity

store = ArtifactStore(Path(sys.argv[1]), Path(sys.argv[1]))

def fill(folder):
    print("inside", flush=True)
    sys.stdin.readline()
    return {}

store.publish(Identity("rows", "9", {}, {}, {}), fill, lambda folder: [CheckOutcome("ok", True, True, "")])
"""


def make(store: ArtifactStore, asset: str, text: str, inputs: dict[str, Manifest] | None = None) -> Manifest:
    """Publish an artifact, which becomes current."""
    hashes = {name: manifest.content_hash for name, manifest in (inputs or {}).items()}
    return publish(store, Identity(asset, "1", {"text": text}, hashes, {}), {"rows.txt": text})


def promote(store: ArtifactStore, manifest: Manifest) -> None:
    link = store.root / "promoted" / manifest.asset
    link.parent.mkdir()
    link.symlink_to(Path("..") / "artifacts" / manifest.asset / manifest.fingerprint)


def left(store: ArtifactStore) -> set[str]:
    return {path.name for path in store.root.glob("artifacts/*/*")}


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(tmp_path, tmp_path)


def test_what_is_current_and_what_it_was_made_from_stays(store: ArtifactStore) -> None:
    old_rows = make(store, "rows", "old")
    old_model = make(store, "model", "old", {"rows": old_rows})
    rows = make(store, "rows", "new")
    model = make(store, "model", "new", {"rows": rows})
    gone = prune(store)
    assert {each.path.name for each in gone} == {old_rows.fingerprint, old_model.fingerprint}
    assert left(store) == {rows.fingerprint, model.fingerprint}


def test_what_is_promoted_and_the_whole_chain_before_it_stays(store: ArtifactStore) -> None:
    raw = make(store, "raw", "old")
    rows = make(store, "rows", "old", {"raw": raw})
    model = make(store, "model", "old", {"rows": rows})
    promote(store, model)
    other = make(store, "rows", "other", {"raw": make(store, "raw", "other")})
    make(store, "rows", "new", {"raw": make(store, "raw", "new")})
    make(store, "model", "new", {"rows": make(store, "rows", "new", {"raw": make(store, "raw", "new")})})
    prune(store)
    assert {raw.fingerprint, rows.fingerprint, model.fingerprint} <= left(store)
    assert other.fingerprint not in left(store)


def test_what_was_refused_goes(store: ArtifactStore) -> None:
    kept = make(store, "rows", "text")
    for name in ("rejected/rows/a", "damaged/rows/b", "damaged/current/rows-c"):
        (store.root / name).mkdir(parents=True)
        (store.root / name / "rows.txt").write_bytes(bytes(1000))
    found = find_unneeded(store)
    assert {(str(each.path), each.bytes) for each in found} == {
        ("rejected/rows/a", 1000),
        ("damaged/rows/b", 1000),
        ("damaged/current/rows-c", 1000),
    }
    assert prune(store) == found
    assert find_unneeded(store) == []
    assert store.current("rows") == kept


def test_looking_deletes_nothing(store: ArtifactStore) -> None:
    make(store, "rows", "old")
    make(store, "rows", "new")
    before = sorted(store.root.rglob("*"))
    assert len(find_unneeded(store)) == 1
    assert sorted(store.root.rglob("*")) == before


def test_while_a_pass_publishes_nothing_is_deleted(store: ArtifactStore) -> None:
    make(store, "rows", "old")
    make(store, "rows", "new")
    before = left(store)
    with subprocess.Popen(
        [sys.executable, "-c", PUBLISHING, str(store.root)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "inside\n"
        with pytest.raises(MedcotError, match="A pass or a backup is under way; nothing was deleted"):
            prune(store)
        process.kill()
    assert before <= left(store)
    assert len(prune(store)) == 1, "the lock goes with the process that held it"


def test_a_damaged_artifact_that_is_not_current_goes_and_one_that_is_current_stays(store: ArtifactStore) -> None:
    old, new = make(store, "rows", "old"), make(store, "rows", "new")
    for manifest in (old, new):
        (store.folder("rows", manifest.fingerprint) / "manifest.json").write_text("{")
    assert [each.path.name for each in find_unneeded(store)] == [old.fingerprint]


@pytest.mark.parametrize("what", ["manifest", "artifact", "asset"])
def test_while_an_artifact_cannot_be_read_nothing_is_deleted(store: ArtifactStore, what: str) -> None:
    """What it was made from is not known then, and may be what stays."""
    rows = make(store, "rows", "old")
    model = make(store, "model", "of the old rows", {"rows": rows})
    make(store, "rows", "new")
    folder = store.folder("model", model.fingerprint)
    path = {"manifest": folder / "manifest.json", "artifact": folder, "asset": folder.parent}[what]
    kept = path.rename(store.root / "kept")
    path.symlink_to(path)
    with pytest.raises(Unreadable, match=f"^{path}.*: cannot be read right now "):
        prune(store)
    assert store.folder("rows", rows.fingerprint).is_dir()
    path.unlink()
    kept.rename(path)
    assert prune(store) == []


@pytest.mark.parametrize("place", ["artifacts", "rejected", "damaged"])
def test_pruning_that_is_killed_leaves_nothing_half_deleted(store: ArtifactStore, tmp_path: Path, place: str) -> None:
    old = make(store, "rows", "old")
    new = make(store, "rows", "new")
    doomed = tmp_path / place / "rows" / old.fingerprint
    if place != "artifacts":
        doomed.parent.mkdir(parents=True)
        store.folder("rows", old.fingerprint).rename(doomed)
    killed = (
        "import os, shutil, signal, sys\n"
        "from pathlib import Path\n"
        "from medcot_pipeline.artifacts import ArtifactStore\n"
        "from medcot_pipeline.artifacts.prune import prune\n"
        "shutil.rmtree = lambda path: os.kill(os.getpid(), signal.SIGKILL)\n"
        "prune(ArtifactStore(Path(sys.argv[1]), Path(sys.argv[1])))\n"
    )
    subprocess.run([sys.executable, "-c", killed, str(tmp_path)], check=False)
    assert not doomed.exists(), "it is not visible under its name any more"
    (line,) = clear_leftovers(store)
    assert line.endswith("left half made or half deleted by a process that has ended; removed")
    assert left(store) == {new.fingerprint}
    assert list(tmp_path.glob("*/*/.staging-*")) == []
