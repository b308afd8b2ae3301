"""The real web server and daemon over a home, on loopback, and asking them by GraphQL.

Belongs here: starting, asking, stopping.
Does not belong here: what a test asks.
"""

import contextlib
import json
import os
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Sequence
from typing import Any

from medcot_pipeline_tests.support.home import ROOT, Home

PATIENCE = 900.0
MODULE = "medcot_pipeline.definitions"

LAUNCH = """
mutation Launch($params: ExecutionParams!) {
  launchRun(executionParams: $params) {
    __typename
    ... on LaunchRunSuccess { run { runId } }
    ... on Error { message }
  }
}
"""


def start_server(home: Home, *command: str, **overrides: str) -> "subprocess.Popen[bytes]":
    """Start a server, in a process group of its own; what it says goes into `servers.log`."""
    with (home.folder / "servers.log").open("ab") as log:
        return subprocess.Popen(
            command, cwd=ROOT, env=home.environment(**overrides), stdout=log, stderr=log, start_new_session=True
        )


def stop_server(server: "subprocess.Popen[bytes]") -> None:
    """Stop a server and what it started, by force where it does not follow."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(server.pid, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        server.wait(timeout=30)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(server.pid, signal.SIGKILL)
    server.wait(timeout=30)


@contextlib.contextmanager
def webserver(home: Home, module: str = MODULE, **overrides: str) -> Iterator[str]:
    """Address of a web server over the home, with a code location of the module."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = ("dagster-webserver", "-h", "127.0.0.1", "-p", str(port), "-m", module)
    server = start_server(home, *command, **overrides)
    address = f"http://127.0.0.1:{port}"
    try:
        wait_until_served(f"{address}/server_info", server)
        yield address
    finally:
        stop_server(server)


def start_daemon(home: Home, **overrides: str) -> "subprocess.Popen[bytes]":
    """The daemon that launches queued runs and ticks schedules and sensors."""
    return start_server(home, "dagster-daemon", "run", "-m", MODULE, **overrides)


def graphql(address: str, query: str, **variables: Any) -> dict[str, Any]:
    """The data of an answer."""
    body = json.dumps({"query": query, "variables": variables}).encode()
    request = urllib.request.Request(f"{address}/graphql", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
        answered = json.load(answer)
    assert "errors" not in answered, answered["errors"]
    return dict(answered["data"])


def launch(address: str, assets: Sequence[str]) -> str:
    """Launch a run of assets, as the page's button does; its id."""
    selector = {
        "repositoryLocationName": MODULE,
        "repositoryName": "__repository__",
        "jobName": "medcot",
        "assetSelection": [{"path": [asset]} for asset in assets],
    }
    launched = graphql(address, LAUNCH, params={"selector": selector, "mode": "default"})["launchRun"]
    assert launched["__typename"] == "LaunchRunSuccess", launched
    return str(launched["run"]["runId"])


def wait_until_served(url: str, server: "subprocess.Popen[bytes]", patience: float = PATIENCE) -> None:
    """Wait until the address answers; its server must not end before."""
    deadline = time.monotonic() + patience
    while True:
        assert server.poll() is None and time.monotonic() < deadline, "the web server did not come up"
        try:
            urllib.request.urlopen(url, timeout=5).close()
            return
        except OSError:
            time.sleep(0.2)
