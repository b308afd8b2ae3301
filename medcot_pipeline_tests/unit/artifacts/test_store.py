import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from medcot_pipeline.artifacts import ArtifactStore, CheckOutcome, Identity, Manifest, Published, Table
from medcot_pipeline.artifacts.shown import Value
from medcot_pipeline.artifacts.store import Fill, RejectedArtifact
from medcot_pipeline.support.errors import MedcotError, Unreadable

ASSET = "toy_rows"
PASSED = CheckOutcome("rows_present", True, True, "2 rows.")
BLOCKED = CheckOutcome("no_leaks", False, True, "3 pairs are spread over two splits.")
WARNED = CheckOutcome("few_rejects", False, False, "many rejects.")
TEXT = "咳嗽三天\ncough for three days\n"

CHILD = """
import sys
from pathlib import Path
from medcot_pipeline.artifacts import ArtifactStore, CheckOutcome, Identity

root, number, text = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
store = ArtifactStore(root, root)

def fill(folder):
    (folder / "rows.txt").write_text(text, encoding="utf-8")
    print("inside", flush=True)
    sys.stdin.readline()
    return {}

checks = lambda folder: [CheckOutcome("rows_present", True, True, "2 rows.")]
store.publish(Identity("toy_rows", "1", {"number": number}, {}, {}), fill, checks)
"""


def identity(number: int = 1) -> Identity:
    return Identity(ASSET, "1", {"number": number}, {}, {})


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(tmp_path, tmp_path)


def publish(
    store: ArtifactStore,
    number: int = 1,
    *,
    text: str = TEXT,
    picture: bytes = b"png",
    check: CheckOutcome = PASSED,
    force: bool = False,
) -> Published:
    def fill(folder: Path) -> Mapping[str, Value]:
        (folder / "rows.txt").write_text(text, encoding="utf-8")
        for name in ("more", "aside"):
            (folder / name).mkdir()
        (folder / "more" / "removed.txt").write_text("nothing\n", encoding="utf-8")
        (folder / "aside" / "chart.png").write_bytes(picture)
        return {"rows": 2, "preview": Table([{"question": "咳嗽"}])}

    return store.publish(identity(number), fill, lambda folder: [check], force=force)


def one_file(name: str, text: str = TEXT) -> Fill:
    """Writes one file."""

    def fill(folder: Path) -> Mapping[str, Value]:
        (folder / name).write_text(text, encoding="utf-8")
        return {}

    return fill


def folder_of(store: ArtifactStore, number: int = 1) -> Path:
    """Where the artifact of that number lies."""
    return store.folder(ASSET, identity(number).fingerprint)


@contextlib.contextmanager
def child(store: ArtifactStore, number: int = 1, text: str = TEXT) -> Iterator[subprocess.Popen[str]]:
    """Another process, which holds a publication open until it reads a line."""
    command = [sys.executable, "-c", CHILD, str(store.root), str(number), text]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "inside\n"
        yield process
        process.kill()


def listed(store: ArtifactStore) -> list[str]:
    """Names below the asset's folder, staging folders and locks included."""
    home = store.root / "artifacts" / ASSET
    return sorted(path.name for path in home.iterdir()) if home.is_dir() else []


def why(store: ArtifactStore) -> list[str]:
    return [path.read_text(encoding="utf-8").strip() for path in store.root.glob(f"damaged/{ASSET}/*/why.txt")]


def test_an_artifact_is_made_once_and_used_again(store: ArtifactStore) -> None:
    first, second = publish(store), publish(store, text="never written")
    assert (first.reused, second.reused) == (False, True)
    assert (folder_of(store) / "rows.txt").read_text(encoding="utf-8") == TEXT


def test_a_reused_artifact_replays_metadata_and_checks(store: ArtifactStore) -> None:
    made, used = publish(store).manifest, publish(store).manifest
    assert used == made
    assert used.metadata == {"rows": 2, "preview": {"type": "table", "rows": [{"question": "咳嗽"}]}}
    assert used.checks == (PASSED,)


def test_the_manifest_names_every_file_and_what_it_was_made_from(store: ArtifactStore) -> None:
    manifest = publish(store).manifest
    assert sorted(manifest.files) == ["aside/chart.png", "more/removed.txt", "rows.txt"]
    assert manifest.identity == identity()
    assert manifest.packages["polars"] == pl.__version__


def test_current_is_a_relative_link_to_what_the_last_pass_chose(store: ArtifactStore) -> None:
    for number in (1, 2, 1):
        publish(store, number)
        link = store.root / "current" / ASSET
        assert link.readlink() == Path("..") / "artifacts" / ASSET / identity(number).fingerprint
        assert (link / "rows.txt").read_text(encoding="utf-8") == TEXT


def test_a_data_folder_can_be_moved(store: ArtifactStore, tmp_path: Path) -> None:
    publish(store)
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    for name in ("artifacts", "current"):
        (store.root / name).rename(moved / name)
    assert ArtifactStore(moved, moved).current(ASSET) is not None


def test_a_failed_blocking_check_publishes_nothing(store: ArtifactStore) -> None:
    with pytest.raises(RejectedArtifact):
        publish(store, check=BLOCKED)
    assert listed(store) == []
    assert store.current(ASSET) is None


def test_a_failed_blocking_check_says_which_and_where_the_output_is_kept(store: ArtifactStore) -> None:
    kept = store.root / "rejected" / ASSET / identity().fingerprint
    with pytest.raises(RejectedArtifact) as raised:
        publish(store, check=BLOCKED)
    assert str(raised.value) == (
        "toy_rows: check no_leaks failed: 3 pairs are spread over two splits. Nothing was published. "
        f"The refused output is kept in {kept}."
    )
    assert (kept / "rows.txt").read_text(encoding="utf-8") == TEXT


def test_a_failed_blocking_check_leaves_the_old_current_alone(store: ArtifactStore) -> None:
    old = publish(store, 1).manifest
    with pytest.raises(RejectedArtifact):
        publish(store, 2, check=BLOCKED)
    assert store.current(ASSET) == old


def test_the_same_output_rejected_twice_is_kept_once(store: ArtifactStore) -> None:
    for text in ("first", "second"):
        with pytest.raises(RejectedArtifact):
            publish(store, text=text, check=BLOCKED)
    (kept,) = (store.root / "rejected" / ASSET).iterdir()
    assert (kept / "rows.txt").read_text(encoding="utf-8") == "second"


def test_a_failed_check_that_does_not_block_publishes(store: ArtifactStore) -> None:
    publish(store, check=WARNED)
    manifest = store.current(ASSET)
    assert manifest is not None
    assert manifest.checks == (WARNED,)


def test_the_content_hash_ignores_what_lies_aside(store: ArtifactStore) -> None:
    one, other = publish(store, 1, picture=b"png"), publish(store, 2, picture=b"another png")
    assert one.manifest.content_hash == other.manifest.content_hash


@pytest.mark.parametrize("name", ["rows.txt", "asides.txt"])
def test_the_content_hash_sees_every_other_file(store: ArtifactStore, name: str) -> None:
    hashes = set()
    for number, text in enumerate(("one", "other")):
        published = store.publish(identity(number), one_file(name, text), lambda folder: [PASSED])
        hashes.add(published.manifest.content_hash)
    assert len(hashes) == 2


def write_text(path: Path, text: str = TEXT) -> None:
    path.write_text(text, encoding="utf-8")


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def change_manifest(change: Callable[[dict[str, Any]], None]) -> Callable[[Path], None]:
    def changed(path: Path) -> None:
        fields = json.loads(path.read_text(encoding="utf-8"))
        change(fields)
        path.write_text(json.dumps(fields), encoding="utf-8")

    return changed


MANIFEST = "manifest.json"
DAMAGES: dict[str, tuple[str, Callable[[Path], None], str]] = {
    "a flipped byte": ("rows.txt", flip, "rows.txt has changed since it was published"),
    "a truncated file": ("rows.txt", lambda path: os.truncate(path, 5), "rows.txt has changed since it was published"),
    "an emptied file": ("rows.txt", lambda path: os.truncate(path, 0), "rows.txt has changed since it was published"),
    "a deleted file": ("more/removed.txt", Path.unlink, "more/removed.txt is missing"),
    "a flipped byte aside": ("aside/chart.png", flip, "aside/chart.png has changed since it was published"),
    "a deleted manifest": (MANIFEST, Path.unlink, "manifest.json cannot be read (FileNotFoundError)"),
    "a truncated manifest": (
        MANIFEST,
        lambda path: os.truncate(path, 40),
        "manifest.json cannot be read (JSONDecodeError)",
    ),
    "a manifest that is no manifest": (
        MANIFEST,
        lambda path: write_text(path, "[]"),
        "manifest.json cannot be read (TypeError)",
    ),
    "a manifest of other settings": (
        MANIFEST,
        change_manifest(lambda fields: fields["settings"].update(number=3)),
        "manifest.json has changed since it was published",
    ),
    "a manifest without a file": (
        MANIFEST,
        change_manifest(lambda fields: fields["files"].pop("rows.txt")),
        "manifest.json has changed since it was published",
    ),
    "a manifest with another content hash": (
        MANIFEST,
        change_manifest(lambda fields: fields.update(content_hash="0" * 64)),
        "manifest.json has changed since it was published",
    ),
    "a manifest without checks": (
        MANIFEST,
        change_manifest(lambda fields: fields.update(checks=[])),
        "its manifest records no passed check",
    ),
}


@pytest.fixture(params=DAMAGES.values(), ids=list(DAMAGES))
def damaged(request: pytest.FixtureRequest, store: ArtifactStore) -> str:
    """What is wrong with the one published artifact."""
    name, harm, problem = request.param
    publish(store)
    harm(folder_of(store) / name)
    assert isinstance(problem, str)
    return problem


def test_a_damaged_artifact_is_not_found_and_named(store: ArtifactStore, damaged: str) -> None:
    assert store.find(ASSET, identity().fingerprint) is None
    assert why(store) == [damaged]


def test_a_damaged_artifact_is_not_current(store: ArtifactStore, damaged: str) -> None:
    assert store.current(ASSET) is None


def test_a_damaged_artifact_is_made_again(store: ArtifactStore, damaged: str) -> None:
    again = publish(store)
    assert not again.reused
    assert store.current(ASSET) == again.manifest
    assert (folder_of(store) / "rows.txt").read_text(encoding="utf-8") == TEXT


@pytest.mark.parametrize("name", [MANIFEST, "rows.txt", "more/removed.txt"])
def test_a_file_that_cannot_be_read_for_the_moment_is_one_line_and_nothing_is_moved(
    store: ArtifactStore, name: str
) -> None:
    publish(store)
    folder = folder_of(store)
    kept = (folder / name).rename(folder / "kept")
    (folder / name).symlink_to(folder / name)
    for use in (lambda: store.current(ASSET), lambda: publish(store)):
        with pytest.raises(Unreadable) as raised:
            use()
        assert str(raised.value).startswith(f"{folder / name}: cannot be read right now (ELOOP: ")
    assert why(store) == []
    kept.replace(folder / name)
    assert publish(store).reused


UNREADABLE = """
import os, resource, sys
from pathlib import Path
from medcot_pipeline.artifacts import ArtifactStore
from medcot_pipeline.support.errors import MedcotError

os.chdir(sys.argv[1])
store = ArtifactStore(Path(), Path())
if sys.argv[3] == "EMFILE":
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) - 1, 4096))
elif os.geteuid() == 0:
    os.setgroups([])
    os.setuid(65534)
try:
    print(store.find("toy_rows", sys.argv[2]))
except MedcotError as error:
    print(error)
"""


@pytest.mark.parametrize(("name", "error"), [(MANIFEST, "EMFILE"), (MANIFEST, "EACCES"), ("rows.txt", "EACCES")])
def test_no_more_open_files_and_no_permission_are_no_damage(store: ArtifactStore, name: str, error: str) -> None:
    publish(store)
    folder = folder_of(store)
    store.root.chmod(0o755)
    if error == "EACCES":
        (folder / name).chmod(0)
    command = [sys.executable, "-c", UNREADABLE, str(store.root), folder.name, error]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.stdout.startswith(f"artifacts/{ASSET}/{folder.name}/{name}: cannot be read right now ({error}: ")
    assert done.stdout.count("\n") == 1, done.stderr
    assert listed(store) == [folder.name]
    assert not (store.root / "damaged").exists()


def test_an_exception_inside_leaves_nothing_behind(store: ArtifactStore) -> None:
    def broken(folder: Path) -> Mapping[str, Value]:
        (folder / "rows.txt").write_text(TEXT)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        store.publish(identity(), broken, lambda folder: [PASSED])
    assert listed(store) == []


def test_an_exception_of_a_check_leaves_nothing_behind(store: ArtifactStore) -> None:
    def broken(folder: Path) -> list[CheckOutcome]:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        store.publish(identity(), one_file("rows.txt"), broken)
    assert listed(store) == []


def test_an_interrupted_publication_leaves_nothing_behind(store: ArtifactStore) -> None:
    def interrupted(folder: Path) -> Mapping[str, Value]:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.publish(identity(), interrupted, lambda folder: [PASSED])
    assert listed(store) == []


def test_leftovers_of_a_killed_process_are_swept(store: ArtifactStore) -> None:
    with child(store, 1) as process:
        process.kill()
        process.wait()
    assert len(listed(store)) == 2  # the staging folder and its lock
    publish(store, 2)
    assert listed(store) == [identity(2).fingerprint]


def test_the_staging_folder_of_a_live_process_stays(store: ArtifactStore) -> None:
    with child(store, 1) as process:
        publish(store, 2)
        process.communicate("\n")
        assert process.returncode == 0
    assert listed(store) == sorted(identity(number).fingerprint for number in (1, 2))


def test_a_process_that_wants_what_another_makes_waits_says_for_whom_and_uses_it(store: ArtifactStore) -> None:
    said: list[str] = []
    with child(store, text="of the first") as first:

        def say(line: str) -> None:
            said.append(line)
            print(file=first.stdin, flush=True)

        assert store.publish(identity(), one_file("never written"), lambda folder: [PASSED], say=say).reused
    fingerprint = identity().fingerprint
    assert said == [f"waiting for {ASSET} {fingerprint[:12]}, which is held by another pass, process {first.pid}"]
    assert (folder_of(store) / "rows.txt").read_text(encoding="utf-8") == "of the first"
    assert listed(store) == [fingerprint]


def test_when_the_process_that_makes_it_is_killed_the_waiting_one_makes_it(store: ArtifactStore) -> None:
    of_the_second = one_file("rows.txt", "of the second")
    with child(store, text="of the killed") as first:
        second = store.publish(identity(), of_the_second, lambda folder: [PASSED], say=lambda line: first.kill())
    assert not second.reused
    assert listed(store) == [identity().fingerprint]
    assert (folder_of(store) / "rows.txt").read_text(encoding="utf-8") == "of the second"


def test_force_makes_it_again(store: ArtifactStore) -> None:
    publish(store, text="old")
    again = publish(store, text="new", force=True)
    assert not again.reused
    current = store.root / "current" / ASSET
    assert (current / "rows.txt").read_text() == "new"
    assert listed(store) == [identity().fingerprint]


def test_force_keeps_the_old_one_aside(store: ArtifactStore) -> None:
    publish(store, text="old")
    publish(store, text="new", force=True)
    assert why(store) == ["a forced run made it again"]
    (kept,) = (store.root / "damaged" / ASSET).iterdir()
    assert (kept / "rows.txt").read_text() == "old"


def test_force_that_fails_leaves_the_old_one_in_place(store: ArtifactStore) -> None:
    old = publish(store).manifest
    with pytest.raises(RejectedArtifact):
        publish(store, check=BLOCKED, force=True)
    assert store.current(ASSET) == old


def write_parquet(path: Path) -> None:
    pl.DataFrame({"question": [TEXT] * 1000}).write_parquet(path)


@pytest.mark.parametrize("write", [write_text, write_parquet])
def test_no_space_for_a_file_is_one_clear_line_whoever_writes_it(
    store: ArtifactStore, write: Callable[[Path], None]
) -> None:
    """The kernel's own "no space left": the file that is written leads to /dev/full."""

    def fill(folder: Path) -> Mapping[str, Value]:
        (folder / "rows").symlink_to("/dev/full")
        write(folder / "rows")
        return {}

    with pytest.raises(MedcotError) as raised:
        store.publish(identity(), fill, lambda folder: [PASSED])
    assert str(raised.value) == (
        f"No space left below {store.root} while writing toy_rows; nothing was published. "
        "Free some space and run `medcot sync` again."
    )
    assert listed(store) == []


FULL_DISK = """
import contextlib, json, shutil, sys
from pathlib import Path
import numpy as np
from safetensors.numpy import save_file
from medcot_pipeline.artifacts import ArtifactStore, CheckOutcome, Identity
from medcot_pipeline.support.errors import MedcotError

root, way = Path(sys.argv[1]), sys.argv[2]
store = ArtifactStore(root, root)
checks = lambda folder: [CheckOutcome("rows_present", True, True, "2 rows.")]
identity = lambda number: Identity("toy_rows", "1", {"number": number}, {}, {})

def small(folder):
    (folder / "rows.txt").write_text("small")
    return {}

def large(folder):
    if way == "bytes":
        (folder / "rows.txt").write_bytes(bytes(1_000_000))
    elif way == "safetensors":
        save_file({"weights": np.zeros(1_000_000)}, folder / "weights.safetensors")
    else:
        (folder / "rows.txt").write_text("small")
    return {}

store.publish(identity(1), small, checks)
message = ""
if way == "nothing left":
    with contextlib.suppress(OSError), (root / "ballast").open("wb", buffering=0) as ballast:
        while ballast.write(bytes(1024)):
            pass
try:
    store.publish(identity(2), large, checks)
except MedcotError as error:
    message = str(error)
shutil.rmtree(root / "cache", ignore_errors=True)
current = ArtifactStore(root, root).current("toy_rows")
print(json.dumps({
    "message": message,
    "listed": sorted(path.name for path in (root / "artifacts" / "toy_rows").iterdir()),
    "current": current and current.fingerprint,
    "half written": [path.name for path in (root / "cache").glob(".*")],
}))
"""


@pytest.fixture
def small_disk(tmp_path: Path) -> list[str]:
    """A command's beginning under which `tmp_path/disk` is a file system of 256 KiB, seen by that command alone."""
    disk = tmp_path / "disk"
    disk.mkdir()
    user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    script = f'mount -t tmpfs -o size=256k tmpfs "{disk}" && exec "$@"'
    command = ["unshare", *user, "--mount", "sh", "-c", script, "sh"]
    if not shutil.which("unshare") or subprocess.run([*command, "true"], capture_output=True).returncode:
        pytest.skip("this machine lets nobody mount a small file system; the tests with /dev/full ran")
    return command


@pytest.mark.parametrize("way", ["bytes", "safetensors", "nothing left"])
def test_a_full_disk_is_one_clear_line_and_what_was_published_stays(
    small_disk: list[str], tmp_path: Path, way: str
) -> None:
    disk = tmp_path / "disk"
    command = [*small_disk, sys.executable, "-c", FULL_DISK, str(disk), way]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "message": f"No space left below {disk} while writing toy_rows; nothing was published. "
        "Free some space and run `medcot sync` again.",
        "listed": [identity(1).fingerprint],
        "current": identity(1).fingerprint,
        "half written": [],
    }


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> dict[Path, set[str]]:
    """Every file and folder that was synced, a folder with the names that were in it then."""
    seen: dict[Path, set[str]] = {}
    really = os.fsync

    def fsync(handle: int) -> None:
        really(handle)
        path = Path(f"/proc/self/fd/{handle}").readlink()
        seen.setdefault(path, set()).update({each.name for each in path.iterdir()} if path.is_dir() else set())

    monkeypatch.setattr(os, "fsync", fsync)
    return seen


def test_what_is_published_is_on_disk_with_every_folder_and_link_on_the_way(
    tmp_path: Path, synced: dict[Path, set[str]]
) -> None:
    store = ArtifactStore(tmp_path / "not" / "there yet", tmp_path)
    publish(store)
    folder = folder_of(store)
    by_name = {path.name: names for path, names in synced.items()}
    written = {path.name for path in folder.rglob("*")}
    assert written == {"rows.txt", "more", "removed.txt", "aside", "chart.png", MANIFEST}
    assert written <= set(by_name)
    assert (by_name["more"], by_name["aside"]) == ({"removed.txt"}, {"chart.png"})
    for path in (folder, store.root / "current" / ASSET):
        for each in (path, *path.parents):
            if tmp_path in each.parents:
                assert each.name in synced[each.parent], f"{each} may be gone after a power cut"


def test_what_is_set_aside_or_refused_is_on_disk_where_it_was_moved_to(
    store: ArtifactStore, synced: dict[Path, set[str]]
) -> None:
    publish(store)
    flip(folder_of(store) / "rows.txt")
    synced.clear()
    assert store.find(ASSET, identity().fingerprint) is None
    (kept,) = (store.root / "damaged" / ASSET).iterdir()
    assert {kept, kept.parent, kept.parent.parent, store.root} <= set(synced)
    assert "why.txt" in synced[kept]
    assert any(path.name.startswith(".why.txt-") for path in synced)  # its content, before it had its name
    assert synced[store.root / "artifacts" / ASSET] == set()
    with pytest.raises(RejectedArtifact):
        publish(store, check=BLOCKED)
    assert synced[store.root / "rejected" / ASSET] == {identity().fingerprint}


def test_an_artifact_of_a_rejected_manifest_is_refused(store: ArtifactStore) -> None:
    manifest = publish(store).manifest
    change_manifest(lambda fields: fields["checks"][0].update(passed=False))(
        store.folder(ASSET, manifest.fingerprint) / MANIFEST
    )
    assert store.find(ASSET, manifest.fingerprint) is None


def test_a_manifest_reads_back_as_it_was_written(store: ArtifactStore) -> None:
    assert publish(store).manifest == Manifest.read(folder_of(store))
