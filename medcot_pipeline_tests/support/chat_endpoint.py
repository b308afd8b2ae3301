"""A chat completions endpoint on loopback: what stands in for a judge that costs money, over a real socket.

Belongs here: serving replies that a test gives, and keeping what was asked.
Does not belong here: deciding what a judge would say.
"""

import json
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Reply = Callable[[list[dict[str, str]]], str | int | bytes | tuple[int, bytes]]
"""The text of the answer; an int is an HTTP error, bytes are a body of their own, or both together."""
PROMPT_TOKENS, COMPLETION_TOKENS = 100, 7


@contextmanager
def endpoint(
    reply: Reply, models: tuple[str, ...] | int = (), not_taken: Mapping[str, str] | None = None
) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """The endpoint's URL, and the requests it got. An error asks to come back after a millisecond.

    Where `models` is an int, asking for their list is that HTTP error. `not_taken` are options that it refuses, with
    what it says of each.
    """
    requests: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if isinstance(models, int):
                self._refuse(models)
                return
            listed = [{"id": name, "object": "model", "created": 0, "owned_by": "test"} for name in models]
            self._send(200, json.dumps({"object": "list", "data": listed}).encode())

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            requests.append({"path": self.path, **body})
            complaint = next((said for name, said in (not_taken or {}).items() if name in body), None)
            said = reply(body["messages"]) if complaint is None else (400, complaint.encode())
            if isinstance(said, tuple):
                self._send(*said)
            elif isinstance(said, int):
                self._refuse(said)
            elif isinstance(said, bytes):
                self._send(200, said)
            else:
                self._send(200, json.dumps(completion(said, body["model"])).encode())

        def _refuse(self, status: int) -> None:
            """An error that repeats the key."""
            self._send(status, json.dumps({"error": {"message": f"no, {self.headers['Authorization']}"}}).encode())

        def _send(self, status: int, content: bytes) -> None:
            try:
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.send_header("retry-after-ms", "1")
                self.end_headers()
                self.wfile.write(content)
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True  # the client was killed, or did not want to wait

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 256  # more calls at once than the five that wait for a place by default

    server = Server(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1", requests
    finally:
        server.shutdown()
        server.server_close()


def completion(
    said: str | None, model: str, finish_reason: str = "stop", tokens: int = COMPLETION_TOKENS, **fields: str
) -> dict[str, Any]:
    """A response with one choice of that many tokens; `fields` are further ones of its message."""
    message = {"role": "assistant", "content": said, **fields}
    usage = {
        "prompt_tokens": PROMPT_TOKENS,
        "completion_tokens": tokens,
        "total_tokens": PROMPT_TOKENS + tokens,
    }
    return {
        "id": "1",
        "object": "chat.completion",
        "created": 0,
        "model": model,
        "choices": [{"index": 0, "finish_reason": finish_reason, "message": message}],
        "usage": usage,
    }


def shown(messages: list[dict[str, str]]) -> tuple[str, str]:
    """Both answers as the judge was shown them."""
    first, second = (
        re.findall(rf'<answer_{name} id="(\w+)">\n(.*?)\n</answer_{name} id="\1">', messages[1]["content"], re.DOTALL)
        for name in "ab"
    )
    return first[0][1], second[0][1]


def verdict(messages: list[dict[str, str]], winner: str, reason: str = "") -> str:
    """A verdict as the judge is asked for it, with the number of the call."""
    found = re.search(r'<answer_a id="(\w+)">', messages[1]["content"])
    return json.dumps({"id": found.group(1) if found else "", "winner": winner, "reason": reason}, ensure_ascii=False)


def always_first(messages: list[dict[str, str]]) -> str:
    """A judge that takes whatever is shown first."""
    return verdict(messages, "A", "它在前面")


def longer_wins(messages: list[dict[str, str]]) -> str:
    """A judge that looks at nothing but length; as a grader it has nothing to say."""
    if "<answer_a" not in messages[1]["content"]:
        return "..."
    first, second = map(len, shown(messages))
    winner = "tie" if first == second else "A" if first > second else "B"
    return f"<think>比较 {{两者}}</think>\n```json\n{verdict(messages, winner, '更长')}\n```"
