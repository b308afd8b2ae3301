"""A PostgreSQL that goes away."""

import subprocess
import time
from pathlib import Path

import pytest

from medcot_pipeline_tests.deploy.served import DEPLOY
from medcot_pipeline_tests.support.home import ROOT, Home
from medcot_pipeline_tests.support.postgres import INSTALLED, MISSING, postgres_server
from medcot_pipeline_tests.support.sockets import free_ports

CORPUS = "raw_medical_o1,normalized_corpus,deduplicated_corpus,corpus_splits"
pytestmark = pytest.mark.skipif(not INSTALLED, reason=MISSING)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A home with the team's settings and nothing made yet."""
    made = Home(tmp_path)
    (tmp_path / "dagster").mkdir()
    (tmp_path / "dagster" / "dagster.yaml").write_text((DEPLOY / "dagster.yaml").read_text())
    return made


def says_that_it_is_gone(line: str, home: Home) -> bool:
    """Whether a command's last line names the storage and what its database said."""
    named = line.startswith(f"medcot: The storage of {home.folder / 'dagster'} cannot be used: connection to server at")
    return named and line.endswith("When it can again: `medcot doctor`, then `medcot sync`.")


def sync_until(home: Home, asset: str, environment: dict[str, str]) -> subprocess.Popen[str]:
    """A sync of the corpus that is in the middle of an asset."""
    sync = subprocess.Popen(
        ["medcot", "sync", "--only", CORPUS],
        cwd=ROOT,
        env=home.environment(**environment),
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 240
    while not list((home.data / "artifacts" / asset).glob(".staging-*")):
        assert sync.poll() is None and time.monotonic() < deadline, f"{asset} was not begun"
        time.sleep(0.02)
    return sync


def test_without_its_database_a_command_says_so_in_one_line(home: Home) -> None:
    (port,) = free_ports(1)
    nowhere = {"PGHOST": "127.0.0.1", "PGPORT": str(port), "PGUSER": "u", "PGPASSWORD": "p", "PGDATABASE": "d"}
    done = home.run("medcot", "init", **nowhere)
    assert done.returncode == 1
    assert says_that_it_is_gone(done.stderr.splitlines()[-1], home), done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.faults
def test_a_database_that_is_away_for_a_moment_is_waited_for(home: Home) -> None:
    with postgres_server() as server:
        sync = sync_until(home, "deduplicated_corpus", server.create("away"))
        server.stop("immediate")
        server.start()
        _, errors = sync.communicate(timeout=240)
    assert sync.returncode == 0, errors


@pytest.mark.faults
def test_a_run_that_lost_its_database_leaves_whole_artifacts_and_the_next_sync_goes_on(home: Home) -> None:
    """Dagster tries to connect for most of a minute before it gives up."""
    with postgres_server() as server:
        environment = server.create("lost")
        sync = sync_until(home, "deduplicated_corpus", environment)
        server.stop("immediate")
        _, errors = sync.communicate(timeout=240)
        assert sync.returncode == 1
        assert says_that_it_is_gone(errors.splitlines()[-1], home), errors
        assert list(home.data.glob("artifacts/*/.staging-*")) == []
        server.start()
        assert "it is marked as failed" in home.run("medcot", "doctor", **environment).stdout
        again = home.run("medcot", "sync", "--only", CORPUS, **environment)
        assert again.returncode == 0, again.stderr
        assert "raw_medical_o1: published" not in again.stderr, "what was finished is used again"
        verified = home.run("python", str(DEPLOY / "verify.py"), str(home.data), **environment)
        assert verified.stdout.startswith("4 artifacts"), verified.stderr
