"""As much of the hub as its own client asks for: the newest revision of one data set, and its file at each revision.

Belongs here: serving over a real socket on loopback, and keeping what was asked.
Does not belong here: what is in the file.
"""

import http.server
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

FILE = "medical_o1_sft_Chinese.json"


class Hub(http.server.ThreadingHTTPServer):
    """`revisions` are contents of the file by commit, the newest last; `cut` is how often it hangs up after a part.

    Where it `refuses`, it does as some mirrors do: it repeats the token that it does not accept.
    """

    daemon_threads = True

    def __init__(self, repository: str, revisions: dict[str, bytes]) -> None:
        super().__init__(("127.0.0.1", 0), HubHandler)
        self.repository = repository
        self.revisions = revisions
        self.part = 1000
        self.cut = 0
        self.refuses = False
        self.asked: list[tuple[str, str | None]] = []

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class HubHandler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Hub

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        if self.server.refuses:
            said = f"no access for {self.headers['Authorization']}"
            body = json.dumps({"error": said}).encode()
            self.send_response(401, said)
            self.send_header("X-Error-Message", said)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body if self.command == "GET" else b"")
        elif self.path.partition("?")[0] == f"/api/datasets/{self.server.repository}":
            self.describe()
        else:
            self.answer()

    def describe(self) -> None:
        """What the client's `dataset_info` reads."""
        newest = next(reversed(self.server.revisions))
        body = json.dumps({"id": self.server.repository, "sha": newest, "private": False, "tags": []}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def answer(self) -> None:
        prefix, _, rest = self.path.partition("/resolve/")
        revision, _, name = rest.partition("/")
        body = self.server.revisions.get(revision)
        if prefix != f"/datasets/{self.server.repository}" or name != FILE or body is None:
            self.send_response(404)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        span = self.headers.get("Range")
        start = int(span.removeprefix("bytes=").partition("-")[0]) if span else 0
        self.server.asked.append((self.command, span))
        self.send_response(206 if span else 200)
        self.send_header("ETag", f'"the-file-at-{revision}"')
        self.send_header("X-Repo-Commit", revision)
        self.send_header("Content-Length", str(len(body) - start))
        if span:
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        self.end_headers()
        if self.command == "GET":
            cut = self.server.cut > 0
            self.server.cut -= cut
            self.wfile.write(body[start : start + self.server.part] if cut else body[start:])
            self.close_connection = cut

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@contextmanager
def serving(repository: str, revisions: dict[str, bytes]) -> Iterator[Hub]:
    with Hub(repository, revisions) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def hub_environment(home: Path, endpoint: str) -> dict[str, str]:
    """What makes the hub's client of another process ask `endpoint`, and keep what it fetched below `home`."""
    return {"HF_HOME": str(home), "HF_ENDPOINT": endpoint, "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
