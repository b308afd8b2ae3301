"""A server on loopback that writes whatever bytes a test gives it: what no proper server would send.

Belongs here: reading a request, and the bytes of a response.
Does not belong here: which bytes are wrong (unit/inference/test_malformed_replies.py), proper replies
(chat_endpoint.py).
"""

import contextlib
import json
import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from socket import socket
from typing import Any

Send = Callable[[socket], None]
"""Writes a response, or breaks off."""


class Wire(socketserver.ThreadingTCPServer):
    """`send` answers every POST; a GET asks for the list of models, which `lists` answers."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, send: Send, models: tuple[str, ...]) -> None:
        super().__init__(("127.0.0.1", 0), WireHandler)
        self.send = send
        self.lists = says({"object": "list", "data": [{"id": name} for name in models]})
        self.asked: list[tuple[str, dict[str, str], dict[str, Any]]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"


class WireHandler(socketserver.StreamRequestHandler):
    server: Wire

    def handle(self) -> None:
        with contextlib.suppress(ConnectionError):  # the client has seen enough
            line = self.rfile.readline().decode()
            headers = {}
            while (header := self.rfile.readline().decode().strip()) != "":
                name, _, value = header.partition(":")
                headers[name.lower()] = value.strip()
            body = json.loads(self.rfile.read(int(headers.get("content-length", 0))) or b"{}")
            self.server.asked.append((line, headers, body))
            send = self.server.lists if line.startswith("GET") else self.server.send
            send(self.request)


@contextmanager
def wire(send: Send, models: tuple[str, ...] = ()) -> Iterator[Wire]:
    with Wire(send, models) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.shutdown()


def response(body: bytes, status: str = "200 OK", *headers: str, length: int | None = None) -> bytes:
    """A whole response; `length` claims another one than the body has."""
    lines = [
        f"HTTP/1.1 {status}",
        "Connection: close",
        f"Content-Length: {len(body) if length is None else length}",
        *(headers or ["Content-Type: application/json"]),
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def says(body: bytes | str | dict[str, Any] | list[Any], status: str = "200 OK", *headers: str) -> Send:
    """Sends a whole response."""
    content = body if isinstance(body, bytes) else body.encode() if isinstance(body, str) else json.dumps(body).encode()
    return lambda connection: connection.sendall(response(content, status, *headers))
