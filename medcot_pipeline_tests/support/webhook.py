"""A webhook on loopback that keeps what it is told.

Belongs here: the server.
Does not belong here: what it should be told.
"""

import contextlib
import http.server
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def webhook(status: int = 200, location: str = "", says: bytes = b"") -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """The address of a webhook, and what it was told."""
    told: list[dict[str, Any]] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            told.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(status)
            self.send_header("Content-Length", str(len(says)))
            if location:
                self.send_header("Location", location)
            self.end_headers()
            with contextlib.suppress(ConnectionError):  # what it says is not waited for
                self.wfile.write(says)

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/secret-token", told
        server.shutdown()
