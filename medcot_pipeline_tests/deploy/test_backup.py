"""deploy/backup.sh and deploy/restore.sh, on SQLite and on PostgreSQL."""

import shutil
import subprocess
from pathlib import Path

import dagster as dg
import pytest

from medcot_pipeline_tests.conftest import Home
from medcot_pipeline_tests.deploy.served import DEPLOY, Served
from medcot_pipeline_tests.postgres import PostgresServer


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
    home = Home(tmp_path / "instance")
    shutil.copytree(chain.folder, home.folder, symlinks=True)
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
    report.write_text(report.read_text() + " ")
    done = lived_in.run(str(DEPLOY / "backup.sh"), str(tmp_path / "backups"))
    assert done.returncode == 1
    assert f"{report.parent.name}: report.json has changed since it was published" in done.stderr
    assert list((tmp_path / "backups").glob("[0-9]*")) == []


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
