"""A data folder, a Dagster home, a clock and a `.env` that are not as they should be."""

import contextlib
import os
import shutil
import sqlite3
import subprocess
from pathlib import Path

import pytest

from medcot_pipeline_tests.support.home import Home

FIRST = ("medcot", "sync", "--only", "raw_medical_o1")


def in_own_mounts(home: Home, script: str) -> subprocess.CompletedProcess[str]:
    """Run a shell script that may mount file systems, which nothing else sees."""
    user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    beginning = ["unshare", *user, "--mount", "sh", "-e", "-c"]
    if not shutil.which("unshare") or subprocess.run([*beginning, "mount -t tmpfs tmpfs /mnt"]).returncode:
        pytest.skip("this machine lets nobody mount a file system")
    return home.run(*beginning, script)


def only_line(done: subprocess.CompletedProcess[str]) -> str:
    """The one line of a command that failed, and no traceback."""
    assert "Traceback" not in done.stdout + done.stderr
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("medcot: ")]
    return line.removeprefix("medcot: ")


def first_is_fresh(home: Home, **overrides: str) -> None:
    """The first asset is whole, and a sync has nothing to do for it."""
    done = home.run(*FIRST, **overrides)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "Everything is fresh.\n"


def test_a_data_folder_that_is_read_only_is_one_line_and_can_be_planned(fresh_home: Home) -> None:
    fresh_home.data.mkdir()
    script = f'mount --bind "{fresh_home.data}" "{fresh_home.data}"; mount -o remount,bind,ro "{fresh_home.data}"; '
    done = in_own_mounts(fresh_home, script + "medcot plan; " + " ".join(FIRST))
    assert done.returncode == 1
    assert "raw_medical_o1       missing" in done.stdout
    said = only_line(done)
    assert said.startswith(f"{fresh_home.data}/")
    assert said.endswith("Make it writable, or set MEDCOT_DATA_DIR to a folder that is.")
    assert list(fresh_home.data.iterdir()) == []


def test_a_full_disk_is_one_line_and_once_there_is_space_a_sync_goes_on(fresh_home: Home) -> None:
    fresh_home.data.mkdir()
    data, first = fresh_home.data, " ".join(FIRST)
    script = (
        f'mount -t tmpfs -o size=3m tmpfs "{data}"; head -c 2900k /dev/zero > "{data}/ballast"; '
        f'{first} && exit 9; rm "{data}/ballast"; medcot doctor; {first}; {first}; ls "{data}/artifacts/raw_medical_o1"'
    )
    done = in_own_mounts(fresh_home, script)
    assert done.returncode == 0, done.stdout + done.stderr
    assert only_line(done) == (
        f"No space left below {data} while writing raw_medical_o1; nothing was published. "
        "Free some space and run `medcot sync` again."
    )
    *said, published = done.stdout.splitlines()
    assert said[-1] == "Everything is fresh."
    assert len(published) == 64, "one artifact, and nothing half made beside it"


def test_a_dagster_home_on_a_full_disk_is_one_line(fresh_home: Home) -> None:
    folder = fresh_home.folder / "dagster"
    folder.mkdir()
    script = f'mount -t tmpfs -o size=64k tmpfs "{folder}"; medcot init'
    done = in_own_mounts(fresh_home, script)
    assert done.returncode == 1
    assert only_line(done).startswith(f"The storage of {folder} cannot be used: ")


def test_a_home_of_another_version_of_dagster_is_refused_and_left_as_it_is(fresh_home: Home) -> None:
    assert fresh_home.run("medcot", "init").returncode == 0
    database = fresh_home.folder / "dagster" / "history" / "runs.db"
    with contextlib.closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = 'ffffffffffff'")
    said = only_line(fresh_home.run(*FIRST))
    assert said.startswith(
        f"{fresh_home.folder / 'dagster'}: its storage is of another version of Dagster (schema ffff"
    )
    with contextlib.closing(sqlite3.connect(database)) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [("ffffffffffff",)]
        assert connection.execute("SELECT count(*) FROM runs").fetchall() == [(0,)]
    assert not (fresh_home.data / "artifacts").exists()


@pytest.mark.parametrize(("text", "problem"), [("storage: [", "while parsing"), ("stroage: {}", '"stroage"')])
def test_settings_of_the_home_that_are_nonsense_are_one_line(fresh_home: Home, text: str, problem: str) -> None:
    path = fresh_home.folder / "dagster" / "dagster.yaml"
    path.parent.mkdir()
    path.write_text(text)
    said = only_line(fresh_home.run("medcot", "init"))
    assert said.startswith(f"{path}: ")
    assert problem in said


def test_after_the_clock_jumped_back_what_was_made_is_fresh_and_what_died_is_mended(fresh_home: Home) -> None:
    if not shutil.which("faketime"):
        pytest.skip("no faketime on PATH: a clock that jumps back is not tried")
    made = fresh_home.run("faketime", "-f", "+30d", *FIRST)
    assert made.returncode == 0, made.stderr
    first_is_fresh(fresh_home)
    killed = fresh_home.run(
        "faketime", "-f", "+30d", "bash", "-c", " ".join(FIRST) + " --force raw_medical_o1 & kill -9 $!"
    )
    assert killed.returncode == 0
    status = fresh_home.run("medcot", "status")
    assert status.returncode == 0, status.stderr
    assert "made 0 s ago" in status.stdout
    assert fresh_home.run("medcot", "doctor").returncode == 0
    assert fresh_home.run("medcot", "doctor").stdout == "Nothing to mend.\n"
    first_is_fresh(fresh_home)


def test_a_folder_in_the_place_of_the_link_to_what_is_current_is_kept_aside(fresh_home: Home) -> None:
    assert fresh_home.run(*FIRST).returncode == 0
    link = fresh_home.data / "current" / "raw_medical_o1"
    target = link.resolve()
    link.unlink()
    shutil.copytree(target, link)
    done = fresh_home.run("medcot", "doctor")
    assert done.stdout.startswith("current/raw_medical_o1: not a link to an artifact; set aside in "), done.stderr
    again = fresh_home.run(*FIRST)
    assert "raw_medical_o1: reused: already built" in again.stderr
    assert link.resolve() == target


def test_a_dotenv_of_nonsense_does_not_reach_medcot_and_a_misspelt_setting_in_it_is_named(
    fresh_home: Home, tmp_path: Path
) -> None:
    folder = tmp_path / "with dotenv"
    folder.mkdir()
    (folder / ".env").write_bytes(b"what is this\n= = [\n\xff\xfe\n")

    def run(*command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, cwd=folder, env=fresh_home.environment(), capture_output=True, text=True, timeout=300
        )

    assert run("medcot", "init").returncode == 0
    (folder / ".env").write_text("what is this\n= = [\nMEDCOT_REPORT__TRANSCRIPT=3\n")
    done = run("dagster", "asset", "materialize", "-m", "medcot_pipeline.definitions", "--select", "raw_medical_o1")
    assert done.returncode == 1
    assert "MEDCOT_REPORT__TRANSCRIPT: unknown setting (did you mean MEDCOT_REPORT__TRANSCRIPTS?)" in done.stderr
    assert not fresh_home.data.exists()
