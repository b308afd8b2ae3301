"""The review pages on loopback, and the verdicts that they send back into files, as they are made.

Belongs here: HTTP: who may ask, what is served, what is accepted and where it is written.
Does not: the pages (review.py), what a valid review is (review_join.py), which packs there are (cli.py).
"""

import json
import secrets
from collections.abc import Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock
from typing import Any

from medcot_pipeline.errors import MedcotError
from medcot_pipeline.evaluation.review import Key, Pack, render_page
from medcot_pipeline.evaluation.review_join import file_name, join_review, load_review, merge
from medcot_pipeline.json_files import replace_json

HOST = "127.0.0.1"
LARGEST_BODY = 4 * 2**20
"""Bytes of one save. A review of 110 items with a comment of 2,000 characters each is a quarter of it."""


class Refused(Exception):
    """A request that is not answered: HTTP status and reason."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status, self.reason = status, reason


class ReviewServer(ThreadingHTTPServer):
    """Serves the first pack at `/`, each at `/<first 8 digits of its hash>`, and keeps what the pages save.

    It listens on loopback alone. A request must name this server as its host, so that no other site's name can be
    pointed here, and a save must come from this server's own page and carry the token that stands in it.
    """

    daemon_threads = True

    def __init__(self, port: int, packs: Sequence[tuple[Pack, Key]], folder: Path) -> None:
        """Args: port: 0 for any. packs: what is reviewed, with keys. folder: where the files go; made when needed.

        Raises:
            MedcotError: the port is taken.
        """
        try:
            super().__init__((HOST, port), Handler)
        except OSError as error:
            raise MedcotError(f"Port {port} of {HOST}: {error.strerror}.", "Give another with --port.") from error
        self.token = secrets.token_hex(24)
        self.folder = folder
        self.packs = {f"/{pack['pack'][:8]}": (pack, key) for pack, key in packs}
        self.packs["/"] = packs[0]
        self._files: dict[str, Path] = {}
        self._lock = Lock()

    @property
    def address(self) -> str:
        """Where the first page is."""
        return f"http://{HOST}:{self.server_port}/"

    @property
    def names(self) -> set[str]:
        """What a browser may call this server."""
        return {f"{name}:{self.server_port}" for name in (HOST, "localhost")}

    def save(self, path: str, review: Any) -> tuple[Path, Mapping[str, Any]]:
        """Keep a review: its file, and what stands in it now.

        Verdicts in the file that the review lacks are kept. A reviewer who changes their name leaves no second file.

        Raises:
            MedcotError: the review does not fit the pack of that page, or the file is another reviewer's.
        """
        key = self.packs[path][1]
        joined = join_review(review, [key], Path("This review"))
        with self._lock:
            file = self.folder / file_name(review)
            if file.is_file():
                saved = load_review(file)
                other = join_review(saved, [key], file).reviewer
                if other != joined.reviewer:
                    raise MedcotError(f"{file.name} is the review of {other}.", "Give another name.")
                review = merge(saved, review)
            if review["verdicts"]:
                replace_json(file, review)
                before = self._files.get(key["pack"])
                if before and before != file:
                    before.unlink(missing_ok=True)
                self._files[key["pack"]] = file
        return file, review


class Handler(BaseHTTPRequestHandler):
    """GET gives a page, POST to the same address saves its review; anything else is refused."""

    server: ReviewServer
    timeout = 30

    def do_GET(self) -> None:
        """Serve a page."""
        try:
            pack, _ = self.server.packs[self._page()]
        except Refused as refused:
            self._answer(refused.status, {"problem": refused.reason})
            return
        self._send(200, "text/html; charset=utf-8", render_page(pack, self.server.token).encode())

    def do_POST(self) -> None:
        """Save a review."""
        try:
            page = self._page()
            file, review = self.server.save(page, self._body())
        except Refused as refused:
            self._answer(refused.status, {"problem": refused.reason})
        except (MedcotError, ValueError) as error:
            self._answer(400, {"problem": str(error)})
        else:
            self._answer(200, {"file": file.name, "review": review})

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: the page shows what was saved."""

    def _page(self) -> str:
        if self.headers.get("Host") not in self.server.names:
            raise Refused(403, "another host's name")
        if self.path not in self.server.packs:
            raise Refused(404, "no such page")
        return self.path

    def _body(self) -> Any:
        origin = self.headers.get("Origin", "")
        if origin.removeprefix("http://") not in self.server.names:
            raise Refused(403, "another page's request")
        if not secrets.compare_digest(self.headers.get("X-Review-Token", "").encode(), self.server.token.encode()):
            raise Refused(403, "the page is of an earlier start of the server: load it again")
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal():
            raise Refused(411, "no length")
        if int(length) > LARGEST_BODY:
            raise Refused(413, f"more than {LARGEST_BODY:,} bytes")
        return json.loads(self.rfile.read(int(length)))

    def _answer(self, status: int, content: Mapping[str, Any]) -> None:
        self._send(status, "application/json", json.dumps(content, ensure_ascii=False).encode("utf-8", "replace"))

    def _send(self, status: int, kind: str, content: bytes) -> None:
        self.close_connection = True  # what a refused request still sends is not read
        self.send_response(status)
        for name, value in {
            "Content-Type": kind,
            "Content-Length": str(len(content)),
            "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
            "X-Frame-Options": "DENY",
            "Connection": "close",
        }.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)
