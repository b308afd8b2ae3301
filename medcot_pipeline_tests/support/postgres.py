"""A PostgreSQL server of the tests' own, on loopback, from Debian's package.

Belongs here: starting, stopping and breaking it; a database for one test.
Does not belong here: anything of Dagster.
"""

import dataclasses
import os
import pwd
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from medcot_pipeline_tests.support.sockets import free_ports

INSTALLED = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
MISSING = "PostgreSQL is not installed (Debian: postgresql)"
USER = "medcot"


@dataclasses.dataclass(frozen=True)
class PostgresServer:
    """A server over a folder; `psql` and the like reach it through `environment`."""

    folder: Path
    port: int
    password: str

    def environment(self, database: str) -> dict[str, str]:
        """Variables by which PostgreSQL's tools, and Dagster's settings in `deploy/`, find a database."""
        return {
            "PGHOST": "127.0.0.1",
            "PGPORT": str(self.port),
            "PGUSER": USER,
            "PGPASSWORD": self.password,
            "PGDATABASE": database,
        }

    def create(self, database: str) -> dict[str, str]:
        """Make a database, and return the environment that names it."""
        self.query("postgres", f'CREATE DATABASE "{database}"')
        return self.environment(database)

    def query(self, database: str, sql: str) -> str:
        """What a statement prints, without headers."""
        command = [str(INSTALLED[-1] / "psql"), "--no-psqlrc", "-qAtX", "-v", "ON_ERROR_STOP=1", "-c", sql]
        done = subprocess.run(command, env=os.environ | self.environment(database), capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def start(self) -> None:
        """Start it and wait until it answers."""
        self._control("start", "-l", str(self.folder / "log"))

    def stop(self, mode: str = "fast") -> None:
        """Stop it; `immediate` is what a crash leaves."""
        self._control("stop", "-m", mode)

    def _control(self, *arguments: str) -> None:
        done = as_postgres([str(INSTALLED[-1] / "pg_ctl"), "-w", "-s", "-D", str(self.folder / "data"), *arguments])
        log = self.folder / "log"
        assert done.returncode == 0, log.read_text() if log.exists() else "pg_ctl failed"


def as_postgres(command: list[str]) -> subprocess.CompletedProcess[bytes]:
    """Run a command as the user `postgres` where root runs the tests: the server refuses root."""
    identity = {"user": "postgres", "group": "postgres", "extra_groups": []} if os.geteuid() == 0 else {}
    return subprocess.run(command, cwd="/", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **identity)  # type: ignore[call-overload, no-any-return]


@contextmanager
def postgres_server() -> Iterator[PostgresServer]:
    """A running server in a folder of its own; gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="medcot-postgres-"))
    (port,) = free_ports(1)
    server = PostgresServer(folder, port, secrets.token_urlsafe(24))
    try:
        if os.geteuid() == 0:
            account = pwd.getpwnam("postgres")
            os.chown(folder, account.pw_uid, account.pw_gid)
        password = folder / "password"
        password.write_text(server.password)
        password.chmod(0o644)
        data = folder / "data"
        made = as_postgres(
            [
                str(INSTALLED[-1] / "initdb"),
                "-D",
                str(data),
                "-U",
                USER,
                "-A",
                "scram-sha-256",
                "--pwfile",
                str(password),
            ]
        )
        assert made.returncode == 0, "initdb failed"
        with (data / "postgresql.conf").open("a") as settings:
            settings.write(
                f"port = {port}\nlisten_addresses = '127.0.0.1'\nunix_socket_directories = ''\nfsync = off\n"
            )
        server.start()
        try:
            yield server
        finally:
            if (data / "postmaster.pid").exists():
                server.stop("immediate")
    finally:
        shutil.rmtree(folder)
