"""The review pages on loopback, and the verdicts that they send back into files, as they are made.

Belongs here: HTTP: who may ask, what is served, what is accepted and where it is written.
Does not belong here: the pages (pack.py), what a valid review is (review_file.py), which packs there are
(shown_packs.py).
"""

import contextlib
import json
import re
import secrets
import socket
import sys
import time
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock
from typing import Any

from medcot_pipeline.evaluation.people.pack import render_page
from medcot_pipeline.evaluation.people.review_file import file_name, join_review, load_review, merge
from medcot_pipeline.records.review import Key, Pack
from medcot_pipeline.support.errors import MedcotError
from medcot_pipeline.support.json_files import write_json

HOST = "127.0.0.1"
LARGEST_BODY = 4 * 2**20
"""Bytes of one save. A review of 110 items with a comment of 2,000 characters each is a quarter of it."""
SESSION = re.compile("[0-9a-f]{16}")
"""What a browser calls itself: random, made by the page and kept in the browser."""
PATIENCE_S = 30
"""Within this a request must have arrived, seconds."""
LINGER_S = 5
"""How long what a client still sends behind its answer is read and thrown away, seconds."""


class Refused(Exception):
    """A request that is not answered: HTTP status and reason."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status, self.reason = status, reason


class ReviewServer(ThreadingHTTPServer):
    """Serves the first pack at `/`, each at `/<first 8 digits of its hash>`, and keeps what the pages save.

    It listens on loopback alone. A request must name this server as its host, so that no other site's name can be
    pointed here, and a save must come from this server's own page and carry the token that stands in it.

    Every browser has a file of its own for each pack, which no other browser's save touches.
    """

    daemon_threads = True
    request_queue_size = 1024  # connections that wait to be accepted; beyond this they would be reset

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
        self.packs = {f"/{pack.pack[:8]}": (pack, key) for pack, key in packs}
        self.packs["/"] = packs[0]
        self._lock = Lock()

    @property
    def address(self) -> str:
        """Where the first page is."""
        return f"http://{HOST}:{self.server_port}/"

    @property
    def names(self) -> set[str]:
        """What a browser may call this server."""
        return {f"{name}:{self.server_port}" for name in (HOST, "localhost")}

    def save(self, path: str, session: str, review: Any) -> tuple[Path, Mapping[str, Any]]:
        """Keep a review: its file, and what stands in it now.

        Verdicts in the browser's file that the review lacks, or has in an older state, are kept. A reviewer who
        corrects their name leaves no second file.

        Args:
            path: the page that it was made on.
            session: the browser's.
            review: what the page sent.

        Raises:
            MedcotError: the review does not fit the pack of that page, or the browser's file was changed by hand.
            OSError: it cannot be written.
        """
        key = self.packs[path][1]
        join_review(review, [key], Path("This review"))
        with self._lock:
            mine = sorted(self.folder.glob(f"review-*-{key.pack[:8]}-{session}.json"))
            for before in mine:
                saved = load_review(before)
                join_review(saved, [key], before)
                review = merge(saved, review)
            file = self.folder / file_name(review, session)
            if review["verdicts"]:
                for before in mine:
                    before.replace(file)  # before it is written: at no moment is it there under two names
                write_json(file, review)
        return file, review

    def shutdown_request(self, request: Any) -> None:
        """End a connection so that its answer arrives: closed over bytes that nobody read, it would be reset."""
        deadline = time.monotonic() + LINGER_S
        with contextlib.suppress(OSError):  # the client is gone, or sends nothing more and stays
            request.shutdown(socket.SHUT_WR)
            request.settimeout(LINGER_S)
            while request.recv(65536) and time.monotonic() < deadline:
                continue
        self.close_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Show a defect's traceback; a client that went away is none."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class Handler(BaseHTTPRequestHandler):
    """GET gives a page, POST to the same address saves its review; anything else is refused, in one line of JSON."""

    server: ReviewServer
    timeout = PATIENCE_S
    default_request_version = "HTTP/1.0"  # what names no version gets a status too

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
            page, session, review = self._page(), self._session(), self._review()
            file, review = self.server.save(page, session, review)
        except Refused as refused:
            self._answer(refused.status, {"problem": refused.reason})
        except MedcotError as error:
            self._answer(400, {"problem": str(error)})
        except ConnectionError:
            raise
        except OSError as error:
            self._answer(507, {"problem": f"{self.server.folder} cannot be written: {error.strerror or error}"})
        except Exception:
            self._answer(500, {"problem": "a defect of the review server: its terminal shows where"})
            raise
        else:
            self._answer(200, {"file": file.name, "review": review})

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: the page shows what was saved."""

    def parse_request(self) -> bool:
        """Read what stands before the body; one that does not come in time, or is empty, is answered too."""
        try:
            parsed = super().parse_request()
        except TimeoutError:
            self.send_error(408)
            return False
        if not self.requestline.split():
            self.send_error(400)
        return parsed

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Refuse a request that is no HTTP, or of an unknown method."""
        self._answer(code, {"problem": (message or HTTPStatus(code).phrase)[:200]})

    def _page(self) -> str:
        if self.headers.get("Host") not in self.server.names:
            raise Refused(403, "another host's name")
        if self.path not in self.server.packs:
            raise Refused(404, "no such page")
        return self.path

    def _session(self) -> str:
        """The browser's, once the request is known to be of this server's own page."""
        origin = self.headers.get("Origin", "")
        if origin.removeprefix("http://") not in self.server.names:
            raise Refused(403, "another page's request")
        if not secrets.compare_digest(self.headers.get("X-Review-Token", "").encode(), self.server.token.encode()):
            raise Refused(403, "the page was loaded before the server restarted: reload it")
        session = self.headers.get("X-Review-Session", "")
        if not SESSION.fullmatch(session):
            raise Refused(400, "the request does not name its browser session: reload the page")
        return session

    def _review(self) -> Any:
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal():
            raise Refused(411, "no length")
        if len(length) > len(str(LARGEST_BODY)) or int(length) > LARGEST_BODY:
            raise Refused(413, f"more than {LARGEST_BODY:,} bytes")
        try:
            return json.loads(self._body(int(length)))
        except ValueError as error:
            raise Refused(400, f"not JSON ({error})") from error
        except RecursionError as error:
            raise Refused(400, "nested too deeply for a review") from error

    def _body(self, length: int) -> bytes:
        body, deadline = bytearray(), time.monotonic() + PATIENCE_S
        while len(body) < length:
            try:
                piece = self.rfile.read1(min(length - len(body), 65536))
            except TimeoutError as error:
                raise Refused(408, f"{len(body):,} of {length:,} bytes came in time") from error
            if not piece:
                raise Refused(400, f"it ends after {len(body):,} of {length:,} bytes")
            if time.monotonic() > deadline:
                raise Refused(408, f"{len(body):,} of {length:,} bytes came in time")
            body += piece
        return bytes(body)

    def _answer(self, status: int, content: Mapping[str, Any]) -> None:
        self._send(status, "application/json", json.dumps(content, ensure_ascii=False).encode("utf-8", "replace"))

    def _send(self, status: int, kind: str, content: bytes) -> None:
        self.close_connection = True  # what a refused request still sends is not taken for the next one
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
        if self.command != "HEAD":
            self.wfile.write(content)
