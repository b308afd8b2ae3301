"""deploy/backup.sh and deploy/restore.sh, on SQLite and on PostgreSQL."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from medcot_pipeline.artifacts import ArtifactStore, Identity
from medcot_pipeline.release.promoted import Promoted
from medcot_pipeline_tests.deploy.served import DEPLOY, Served
from medcot_pipeline_tests.faults.scenes import FIRST, promote_all, roll_back, weights
from medcot_pipeline_tests.support import artifacts
from medcot_pipeline_tests.support.home import Home
from medcot_pipeline_tests.support.postgres import PostgresServer


def history(home: Home) -> dict[str, tuple[str, int]]:
    """Every run's status and number of events, as Dagster reads them."""
    with dg.DagsterInstance.from_config(str(home.folder / "dagster")) as instance:
        return {run.run_id: (run.status.value, len(instance.all_logs(run.run_id))) for run in instance.get_runs()}


def contents(folder: Path) -> dict[Path, int]:
    """Every file below a folder and when it was written."""
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def back_up(home: Home, folder: Path, **database: str) -> Path:
    """Folder of a new backup."""
    done = home.run(str(DEPLOY / "backup.sh"), str(folder), **database)
    assert done.returncode == 0, done.stdout + done.stderr
    return Path(done.stdout.splitlines()[-1].removeprefix("Backup: "))


def restore(home: Home, backup: Path, **database: str) -> subprocess.CompletedProcess[str]:
    """Put a backup back."""
    return home.run(str(DEPLOY / "restore.sh"), str(backup), **database)


@pytest.fixture
def lived_in(installed: None, chain: Home, tmp_path: Path) -> Home:
    """A home with a finished chain that a test may destroy."""
    home = chain.copy_to(tmp_path / "instance")
    (home.data / "reviews").mkdir(exist_ok=True)
    (home.data / "reviews" / "note.txt").write_text("kept")
    return home


def test_a_destroyed_sqlite_instance_comes_back_fresh_with_its_history(lived_in: Home, tmp_path: Path) -> None:
    before = history(lived_in)
    backup = back_up(lived_in, tmp_path / "backups")
    shutil.rmtree(lived_in.folder)
    done = restore(lived_in, backup)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Everything is fresh." in done.stdout
    assert history(lived_in) == before
    assert (lived_in.data / "reviews" / "note.txt").read_text() == "kept"


def test_a_second_backup_adds_only_what_is_new(lived_in: Home, tmp_path: Path) -> None:
    first, second = back_up(lived_in, tmp_path / "backups"), back_up(lived_in, tmp_path / "backups")
    files = [path for path in (first / "data" / "artifacts").rglob("*") if path.is_file()]
    assert files
    assert all((second / path.relative_to(first)).samefile(path) for path in files)


def test_caches_unfinished_work_and_half_artifacts_stay_out_of_a_backup(lived_in: Home, tmp_path: Path) -> None:
    for name in ("artifacts/qlora_adapter/.staging-1", "work/qlora_adapter", "cache", "damaged/x"):
        (lived_in.data / name).mkdir(parents=True, exist_ok=True)
        (lived_in.data / name / "left").write_text("")
    backup = back_up(lived_in, tmp_path / "backups")
    assert list((backup / "data").rglob("left")) == []


def test_a_backup_of_a_damaged_artifact_is_refused_and_names_it(lived_in: Home, tmp_path: Path) -> None:
    report = lived_in.current("eval_report") / "report.json"
    text = report.read_text()
    report.unlink()
    report.write_text(text + " ")
    done = lived_in.run(str(DEPLOY / "backup.sh"), str(tmp_path / "backups"))
    assert done.returncode == 1
    assert f"{report.parent.name}: report.json has changed since it was published" in done.stderr
    assert list((tmp_path / "backups").glob("[0-9]*")) == []


@pytest.fixture
def small(tmp_path: Path) -> Home:
    """A home with two published artifacts, a file of a person and no history: its backup takes no chain."""
    if missing := [program for program in ("rsync", "flock") if shutil.which(program) is None]:
        pytest.skip(f"{', '.join(missing)} not on PATH: backups are not tried")
    home = Home(tmp_path / "small")
    (home.data / "reviews").mkdir(parents=True)
    (home.data / "reviews" / "note.txt").write_text("a verdict")
    (home.folder / "dagster").mkdir()
    (home.folder / "dagster" / "dagster.yaml").write_text("telemetry:\n  enabled: false\n")
    publish(home, "rows", "old")
    publish(home, "qlora_adapter", "weights")
    return home


def publish(home: Home, asset: str, text: str) -> Path:
    """Folder of a new artifact, which becomes current."""
    store = ArtifactStore(home.data, home.data)
    manifest = artifacts.publish(store, Identity(asset, "1", {"text": text}, {}, {}), {"rows.txt": text})
    return store.folder(asset, manifest.fingerprint)


def rot(path: Path) -> None:
    """Flip a byte as a disk does: neither the size nor the times change."""
    state = path.stat()
    path.write_bytes(bytes([path.read_bytes()[0] ^ 1]) + path.read_bytes()[1:])
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))


def test_a_byte_that_rots_in_the_newest_backup_stops_no_later_one_and_is_named(small: Home, tmp_path: Path) -> None:
    folder = tmp_path / "backups"
    first, second = back_up(small, folder), back_up(small, folder)
    rows = (small.current("rows") / "rows.txt").relative_to(small.data.resolve())
    note = Path("reviews/note.txt")
    for name in (rows, note):
        assert (first / "data" / name).samefile(second / "data" / name)
        rot(first / "data" / name)
    done = small.run(str(DEPLOY / "backup.sh"), str(folder))
    assert done.returncode == 0, done.stderr
    third = Path(done.stdout.splitlines()[-1].removeprefix("Backup: "))
    for name in (rows, note):
        assert (third / "data" / name).read_bytes() == (small.data / name).read_bytes()
    assert [line.partition(" is damaged: ")[0] for line in done.stderr.splitlines()] == [
        f"backup.sh: {first}",
        f"backup.sh: {second}",
    ]
    fourth = small.run(str(DEPLOY / "backup.sh"), str(folder))
    assert (fourth.returncode, fourth.stderr) == (0, "")
    newest = Path(fourth.stdout.splitlines()[-1].removeprefix("Backup: "))
    assert all((newest / "data" / name).samefile(third / "data" / name) for name in (rows, note))


def test_a_damaged_artifact_of_the_data_folder_is_named_where_it_lies(small: Home, tmp_path: Path) -> None:
    rot(small.current("rows") / "rows.txt")
    done = small.run(str(DEPLOY / "backup.sh"), str(tmp_path / "backups"))
    assert done.returncode == 1
    folder = small.data / "artifacts" / "rows" / small.current("rows").name
    assert done.stderr.splitlines()[0] == f"{folder}: rows.txt has changed since it was published"
    assert list((tmp_path / "backups").glob("[0-9]*")) == []


def test_promoted_adapters_come_back_with_a_backup_and_a_damaged_one_is_named(small: Home, tmp_path: Path) -> None:
    promote_all(small.data, 0.1, 0.2)
    backup = back_up(small, tmp_path / "backups")
    shutil.rmtree(small.data)
    shutil.copytree(backup / "data", small.data, symlinks=True)
    promoted, store = Promoted(small.data), ArtifactStore(small.data, small.data)
    assert (promoted.catch_up(store), promoted.problems(store)) == ([], [])
    roll_back(small.data)
    assert (weights(small.data, "qlora_adapter"), weights(small.data, "qlora_adapter.previous")) == (FIRST, None)
    copy = (small.data / "promoted" / "qlora_adapter").resolve()
    rot(copy / "weights.txt")
    done = small.run(str(DEPLOY / "backup.sh"), str(tmp_path / "backups"))
    assert done.returncode == 1
    assert done.stderr.splitlines()[0] == f"{copy}: weights.txt has changed since it was published"


@pytest.mark.parametrize("link", ["current/rows", "promoted/qlora_adapter"])
def test_a_link_that_leads_nowhere_is_named_and_in_no_backup(small: Home, tmp_path: Path, link: str) -> None:
    path = small.data / link
    path.parent.mkdir(exist_ok=True)
    path.unlink(missing_ok=True)
    path.symlink_to("../artifacts/rows/gone")
    done = small.run(str(DEPLOY / "backup.sh"), str(tmp_path / "backups"))
    assert done.returncode == 1
    assert done.stderr.splitlines()[0] == f"{path}: leads to ../artifacts/rows/gone, which is not there"
    assert list((tmp_path / "backups").glob("[0-9]*")) == []


MEANWHILE = """#!/bin/sh
# rsync, before whose first copy of anything but the links to what is current somebody publishes and prunes
case "$*" in
  */data/current*) ;;
  *) [ -e "$MEANWHILE.done" ] || {{ touch "$MEANWHILE.done"; {python} "$MEANWHILE" >"$MEANWHILE.said" 2>&1; }} ;;
esac
exec {rsync} "$@"
"""
PUBLISH_AND_PRUNE = """
import os
from pathlib import Path
from medcot_pipeline.artifacts import ArtifactStore, CheckOutcome, Identity
from medcot_pipeline.artifacts.prune import prune

data = Path(os.environ["MEDCOT_DATA_DIR"])
store = ArtifactStore(data, data)
passed = [CheckOutcome("rows_present", True, True, "2 rows.")]

def fill(folder):
    (folder / "rows.txt").write_text("new")
    return {}

store.publish(Identity("rows", "1", {"text": "new"}, {}, {}), fill, lambda folder: passed)
print("published")
prune(store)
"""


def test_while_artifacts_are_copied_passes_go_on_and_nothing_is_pruned(small: Home, tmp_path: Path) -> None:
    rsync = shutil.which("rsync")
    assert rsync
    meanwhile, programs = tmp_path / "meanwhile.py", tmp_path / "bin"
    meanwhile.write_text(PUBLISH_AND_PRUNE)
    programs.mkdir()
    (programs / "rsync").write_text(MEANWHILE.format(python=sys.executable, rsync=rsync))
    (programs / "rsync").chmod(0o755)
    environment = {"PATH": f"{programs}:{small.environment()['PATH']}", "MEANWHILE": str(meanwhile)}
    before = small.current("rows").name
    backup = back_up(small, tmp_path / "backups", **environment)
    assert small.current("rows").name != before
    link = backup / "data" / "current" / "rows"
    assert (link / "rows.txt").read_text() == "old", "as it was when the links were copied"
    said = Path(f"{meanwhile}.said").read_text()
    assert said.startswith("published\n")
    assert "MedcotError: A pass or a backup is under way; nothing was deleted." in said
    assert small.run("python", str(DEPLOY / "verify.py"), str(backup / "data")).returncode == 0


def test_a_backup_in_the_second_of_the_one_before_waits_for_the_next_second(small: Home, tmp_path: Path) -> None:
    programs, asked = tmp_path / "bin", tmp_path / "asked"
    programs.mkdir()
    (programs / "date").write_text(SLOW_CLOCK.format(asked=asked))
    (programs / "date").chmod(0o755)
    environment = {"PATH": f"{programs}:{small.environment()['PATH']}"}
    names = [back_up(small, tmp_path / "backups", **environment).name for _ in range(2)]
    assert names == ["20261127T140413Z", "20261127T140414Z"]


SLOW_CLOCK = """#!/bin/sh
# date, of a clock that is asked three times in its first second
echo >>{asked}
[ "$(wc -l <{asked})" -le 3 ] && echo 20261127T140413Z || echo 20261127T140414Z
"""


def test_a_backup_can_be_opened_by_its_owner_alone_whatever_the_umask(small: Home, tmp_path: Path) -> None:
    folder = tmp_path / "backups"
    earlier = back_up(small, folder)
    earlier.chmod(0o755)
    script = f'umask 022; exec "{DEPLOY / "backup.sh"}" "{folder}"'
    done = small.run("bash", "-c", script)
    assert done.returncode == 0, done.stderr
    assert {path.name: oct(path.stat().st_mode & 0o007) for path in folder.iterdir()} == {
        path.name: "0o0" for path in folder.iterdir()
    }
    newest = Path(done.stdout.splitlines()[-1].removeprefix("Backup: "))
    assert newest.stat().st_mode & 0o777 == 0o700
    kept, lives = (data / "reviews" / "note.txt" for data in (newest / "data", small.data))
    assert kept.stat().st_mode == lives.stat().st_mode, "a restore gives files back as they were"


def test_a_restore_overwrites_nothing(lived_in: Home, tmp_path: Path) -> None:
    backup = back_up(lived_in, tmp_path / "backups")
    before = contents(lived_in.folder)
    done = restore(lived_in, backup)
    assert done.returncode == 1
    assert done.stderr.strip().endswith("exists; nothing is overwritten. Move it away first.")
    assert contents(lived_in.folder) == before


def test_a_destroyed_postgresql_instance_comes_back_fresh_with_its_history(
    served: Served, whole_run: str, postgres: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    served.finish(whole_run)
    before = set(served.runs().items())
    backup = back_up(served.home, tmp_path / "backups", **served.environment)
    elsewhere = Home(tmp_path / "elsewhere")
    environment = {**served.environment, **elsewhere.environment(**postgres.create("restored"))}
    done = restore(elsewhere, backup, **environment)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Everything is fresh." in done.stdout
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert {(run, status) for run, (status, events) in history(elsewhere).items() if events} == before
    again = restore(Home(tmp_path / "third"), backup, **postgres.environment("restored"))
    assert again.returncode == 1
    assert "database restored has" in again.stderr


KILLED_BEFORE = """set -T
seen=0
trap 'seen=$((seen + 1)); [ "$seen" -ne "$KILL_BEFORE" ] || kill -KILL 0' DEBUG
"""
"""Read by bash before the script: kills it, with all that it started, before one of its commands."""


def test_a_backup_killed_at_any_command_harms_no_earlier_one_and_the_next_one_works(
    small: Home, tmp_path: Path
) -> None:
    folder, killer = tmp_path / "backups", tmp_path / "killer.sh"
    killer.write_text(KILLED_BEFORE)
    earlier = back_up(small, folder)
    kept = {path: path.read_bytes() for path in earlier.rglob("*") if path.is_file()}
    kills = 0
    while True:
        environment = small.environment(BASH_ENV=str(killer), KILL_BEFORE=str(kills + 1))
        done = subprocess.run(
            ["bash", str(DEPLOY / "backup.sh"), str(folder)],
            env=environment,
            capture_output=True,
            start_new_session=True,
        )
        if done.returncode == 0:
            break
        assert done.returncode == -signal.SIGKILL, done.stderr
        kills += 1
        assert {path: path.read_bytes() for path in kept} == kept
        whole = [path for path in folder.glob("[0-9]*") if path != earlier]
        assert len(whole) <= 1  # killed after the last rename
        for path in whole:
            assert small.run("python", str(DEPLOY / "verify.py"), str(path / "data")).returncode == 0
            shutil.rmtree(path)
    assert kills > 30
    assert [path.name for path in folder.glob(".part-*")] == []
    print(f"{kills} kills of a backup")
