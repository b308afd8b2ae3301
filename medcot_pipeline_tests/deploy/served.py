"""A served instance as the tests use it: asking nginx as a browser does, launching, waiting.

Belongs here: the running instance and its API.
Does not belong here: putting it together (shipped.py), what must hold of it (the tests).
"""

import dataclasses
import ssl
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx

from medcot_pipeline_tests.support.home import ROOT, Home

DEPLOY = ROOT / "deploy"
NAME = "medcot.example.org"
PASSWORDS = {"reader": "look at it", "operator": "launch: it!"}

LAUNCH = """mutation($assets: [AssetKeyInput!]) { launchRun(executionParams: {
  selector: {repositoryLocationName: "medcot_pipeline.definitions", repositoryName: "__repository__", jobName: "medcot",
             assetSelection: $assets}, mode: "default"
}) { __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }"""


@dataclasses.dataclass(frozen=True)
class Served:
    """A running instance: nginx before a reading and an operating web server, code server, daemon, PostgreSQL."""

    home: Home
    environment: Mapping[str, str]
    https: int
    http: int
    certificate: Path
    logs: Path
    processes: Mapping[str, int]

    @property
    def origin(self) -> str:
        """What a browser sends as Origin of the page."""
        return f"https://{NAME}:{self.https}"

    def tls(self) -> ssl.SSLContext:
        """A context that trusts the instance's certificate alone."""
        return ssl.create_default_context(cafile=str(self.certificate))

    def request(
        self, method: str, path: str, user: str | None = "operator", origin: str | None = None, **options: Any
    ) -> httpx.Response:
        """One request to the page over TLS, with the user's password and an Origin where one is given."""
        headers = {
            "Host": f"{NAME}:{self.https}",
            **({"Origin": origin} if origin else {}),
            **options.pop("headers", {}),
        }
        with httpx.Client(verify=self.tls(), timeout=60, auth=(user, PASSWORDS[user]) if user else None) as client:
            return client.request(
                method,
                f"https://127.0.0.1:{self.https}{path}",
                headers=headers,
                extensions={"sni_hostname": NAME},
                **options,
            )

    def api(self, query: str, user: str | None = "operator", **variables: Any) -> Any:
        """What the API answers to a query that the page itself sends."""
        asked = {"query": query, "variables": variables}
        answer = self.request("POST", "/graphql", user, self.origin, json=asked)
        assert answer.status_code == 200, answer.text
        body = answer.json()
        assert "errors" not in body, body
        return body["data"]

    def launch(self, *assets: str) -> str:
        """Id of a run over some assets, or over all, that the operator launches."""
        selection = [{"path": [asset]} for asset in assets] or None
        launched = self.api(LAUNCH, assets=selection)["launchRun"]
        assert launched["__typename"] == "LaunchRunSuccess", launched
        return str(launched["run"]["runId"])

    def runs(self) -> dict[str, str]:
        """Status of every run by id, as a reader sees it."""
        data = self.api("{ runsOrError { ... on Runs { results { runId status } } } }", "reader")
        return {run["runId"]: run["status"] for run in data["runsOrError"]["results"]}

    def finish(self, run: str, seconds: float = 600) -> str:
        """Wait for a run's end and return its status."""
        deadline = time.monotonic() + seconds
        while (status := self.runs()[run]) not in ("SUCCESS", "FAILURE", "CANCELED"):
            assert time.monotonic() < deadline, f"run {run} is still {status}"
            time.sleep(0.5)
        return status
