import http.client
import json
import resource
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from medcot_pipeline.evaluation.people.review_file import join_review, load_review, seal
from medcot_pipeline.evaluation.people.server import LARGEST_BODY, Handler, ReviewServer
from medcot_pipeline.support.errors import MedcotError
from medcot_pipeline_tests.support.review_pack import KEY, ONE, PACK, review

HERE, THERE = "0123456789abcdef", "fedcba9876543210"
"""Two browsers."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ReviewServer]:
    with ReviewServer(0, [(PACK, KEY)], tmp_path / "reviews") as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.shutdown()


def own_headers(server: ReviewServer) -> dict[str, str]:
    """What the server's own page sends."""
    host = f"127.0.0.1:{server.server_port}"
    return {"Host": host, "Origin": f"http://{host}", "X-Review-Token": server.token, "X-Review-Session": HERE}


def ask(server: ReviewServer, method: str, path: str = "/", body: Any = None, **headers: str) -> tuple[int, str]:
    """A request with exactly these headers, those of the server's own page where none are given."""
    own = own_headers(server)
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    given = {name.replace("_", "-"): text for name, text in headers.items()}
    sent = own | {"Content-Length": str(len(content))} | given
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=5)
    connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
    for name, text in sent.items():
        connection.putheader(name, text)
    connection.endheaders(content if method == "POST" and "Content_Length" not in headers else None)
    response = connection.getresponse()
    answer = response.status, response.read().decode()
    connection.close()
    return answer


def test_it_listens_on_loopback_alone(server: ReviewServer) -> None:
    assert server.socket.getsockname()[0] == "127.0.0.1"
    assert server.address == f"http://127.0.0.1:{server.server_port}/"


def send_raw(server: ReviewServer, request: bytes, *, half_closed: bool = True) -> tuple[int, str]:
    """Exactly these bytes; the status and the body of what comes back."""
    with socket.create_connection(("127.0.0.1", server.server_port), timeout=10) as connection:
        connection.sendall(request)
        if half_closed:
            connection.shutdown(socket.SHUT_WR)
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), body.decode()


def head(server: ReviewServer, line: str = "POST / HTTP/1.1", **headers: str) -> bytes:
    """A request's head, with the headers of the server's own page."""
    sent = own_headers(server) | {name.replace("_", "-"): text for name, text in headers.items()}
    return f"{line}\r\n{''.join(f'{name}: {text}' + chr(13) + chr(10) for name, text in sent.items())}\r\n".encode()


def saved(server: ReviewServer) -> dict[str, list[int]]:
    """Reviewers of all files with the items that they judged; every file is whole, and nothing else lies there."""
    loaded = [load_review(path) for path in sorted(server.folder.iterdir())]
    return {each["reviewer"]: [entry["item"] for entry in each["verdicts"]] for each in loaded}


def test_a_saved_review_is_a_file_that_can_be_joined(server: ReviewServer) -> None:
    status, answer = ask(server, "POST", body=review())
    assert status == 200
    (path,) = server.folder.iterdir()
    assert json.loads(answer) == {"file": path.name, "review": review()}
    assert join_review(load_review(path), [KEY], path).missing == 22


def test_a_second_reviewer_takes_nothing_from_the_first(server: ReviewServer) -> None:
    ask(server, "POST", body=review(reviewer="王医生"))
    ask(server, "POST", body=review(reviewer="李医生", verdicts=[ONE]), X_Review_Session=THERE)
    assert saved(server) == {"王医生": [1, 2], "李医生": [1]}


def test_two_browsers_under_one_name_keep_a_file_each(server: ReviewServer) -> None:
    ask(server, "POST", body=review())
    status, answer = ask(server, "POST", body=review(verdicts=[{**ONE, "item": 7}]), X_Review_Session=THERE)
    assert [entry["item"] for entry in json.loads(answer)["review"]["verdicts"]] == [7]
    assert (status, len(list(server.folder.iterdir()))) == (200, 2)


def test_a_later_save_of_the_same_browser_loses_nothing(server: ReviewServer) -> None:
    ask(server, "POST", body=review())
    status, answer = ask(server, "POST", body=review(verdicts=[{**ONE, "item": 7}]))
    assert status == 200
    assert [entry["item"] for entry in json.loads(answer)["review"]["verdicts"]] == [1, 2, 7]


def test_an_older_state_that_arrives_late_takes_nothing_back(server: ReviewServer) -> None:
    ask(server, "POST", body=review(verdicts=[{**ONE, "choice": "right", "changed": 2}]))
    _, answer = ask(server, "POST", body=review(verdicts=[{**ONE, "choice": "left", "changed": 1}]))
    assert [entry["choice"] for entry in json.loads(answer)["review"]["verdicts"]] == ["right"]


def test_a_reviewer_who_corrects_the_name_leaves_one_file(server: ReviewServer) -> None:
    for name in ("王", "王医生"):
        ask(server, "POST", body=review(reviewer=name))
    assert [path.name for path in server.folder.iterdir()] == [f"review-王医生-{PACK.pack[:8]}-{HERE}.json"]


def test_a_name_corrected_after_the_server_was_started_again_leaves_one_file(tmp_path: Path) -> None:
    for name in ("王", "王医生"):
        with ReviewServer(0, [(PACK, KEY)], tmp_path) as server:
            server.save("/", HERE, review(reviewer=name))
    assert saved(server) == {"王医生": [1, 2]}


def test_two_names_that_make_one_file_name_do_not_mix(server: ReviewServer) -> None:
    ask(server, "POST", body=review(reviewer="王 医生"))
    ask(server, "POST", body=review(reviewer="王-医生", verdicts=[ONE]), X_Review_Session=THERE)
    assert saved(server) == {"王 医生": [1, 2], "王-医生": [1]}


def test_a_file_of_version_0_1_stays_as_it_is(server: ReviewServer) -> None:
    server.folder.mkdir()
    before = server.folder / f"review-王医生-{PACK.pack[:8]}.json"
    before.write_text(json.dumps(review()), encoding="utf-8")
    ask(server, "POST", body=review(reviewer="李医生", verdicts=[ONE]))
    ask(server, "POST", body=review(verdicts=[ONE]))
    assert load_review(before) == review()


def test_of_a_hundred_simultaneous_saves_none_is_lost_and_all_are_answered(server: ReviewServer) -> None:
    at_once = threading.Barrier(100)

    def save(number: int) -> int:
        body = review(reviewer=f"评审人 {number}", verdicts=[{**ONE, "item": 1 + number % 24}])
        at_once.wait(30)
        return ask(server, "POST", body=body, X_Review_Session=f"{number:016x}")[0]

    with ThreadPoolExecutor(100) as clients:
        assert list(clients.map(save, range(100))) == [200] * 100
    assert saved(server) == {f"评审人 {number}": [1 + number % 24] for number in range(100)}


def test_a_name_alone_is_no_file(server: ReviewServer) -> None:
    assert ask(server, "POST", body=review(verdicts=[]))[0] == 200
    assert not server.folder.exists()


@pytest.mark.parametrize(
    ("method", "headers", "status"),
    [
        ("GET", {"Host": "evil.example"}, 403),
        ("GET", {"Host": "127.0.0.1"}, 403),
        ("POST", {"Host": "evil.example"}, 403),
        ("POST", {"Origin": "http://evil.example"}, 403),
        ("POST", {"Origin": "null"}, 403),
        ("POST", {"X_Review_Token": "guessed"}, 403),
        ("POST", {"X_Review_Token": ""}, 403),
        ("POST", {"X_Review_Session": ""}, 400),
        ("POST", {"X_Review_Session": "../0123456789abc"}, 400),
        ("POST", {"Content_Length": str(LARGEST_BODY + 1)}, 413),
        ("POST", {"Content_Length": "9" * 5000}, 413),
        ("POST", {"Content_Length": "-1"}, 411),
        ("POST", {"Content_Length": "many"}, 411),
        ("PUT", {}, 501),
    ],
)
def test_a_request_that_is_not_the_pages_own_is_refused_and_writes_nothing(
    server: ReviewServer, method: str, headers: dict[str, str], status: int
) -> None:
    assert ask(server, method, body=review(), **headers)[0] == status
    assert not server.folder.exists()


@pytest.mark.parametrize("path", ["/key.json", "/../key.json", "/?x"])
def test_nothing_but_the_pages_is_served(server: ReviewServer, path: str) -> None:
    status, answer = ask(server, "GET", path)
    assert status == 404
    assert "prompt_id" not in answer


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"{", "Expecting property name"),
        (b"\xff", "utf-8"),
        (b"", "Expecting value"),
        (b"[" * 100_000, "nested too deeply"),
        (b"[" * 900 + b"]" * 900, 'no field "pack"'),
        (b"1" * 5000, "not JSON"),
        (b"null", 'no field "pack"'),
        (review(verdicts=[{**ONE, "ms": 10**400}]), "item 1: ms is 1000"),
        (review(verdicts=[{**ONE, "ms": float("nan")}]), "item 1: ms is nan"),
        (review(verdicts=[{**ONE, "changed": 2**53}]), "item 1: changed is 9007199254740992"),
        (review(verdicts=[{**ONE, "item": 10**400}]), "item 10000000000000000000 is not in the pack"),
        (review(verdicts=[{**ONE, "comment": [[]]}]), "a value in it holds further values"),
        (review(verdicts=[{**ONE, "comment": "半个字 \ud83d"}]), "half of a character (U+D83D)"),
        (review(reviewer="王\ud83d"), "half of a character (U+D83D)"),
        (review(reviewer="王\x00"), r"reviewer is '王\x00'"),
        (review(qualification="主治\n医师"), "qualification is"),
        (review(pack="0" * 64), "reviews pack 00000000"),
        (seal({**review(), "verdicts": [{**ONE, "item": 99}]}), "item 99 is not in the pack"),
        ({**review(), "qualification": "院士"}, "changed after it was saved"),
    ],
)
def test_a_save_that_does_not_fit_is_refused_with_the_reason(server: ReviewServer, body: Any, said: str) -> None:
    status, answer = ask(server, "POST", body=body)
    assert (status, said in json.loads(answer)["problem"]) == (400, True), answer
    assert len(json.loads(answer)["problem"].splitlines()) == 1
    assert not server.folder.exists()


@pytest.mark.parametrize("name", ["\U00020000" * 60, "王" * 300, "é" * 4000, "..", "CON", "a/b\\c:d*e"])
def test_whatever_a_reviewer_is_called_the_review_is_saved(server: ReviewServer, name: str) -> None:
    status, answer = ask(server, "POST", body=review(reviewer=name))
    assert status == 200, answer
    assert saved(server) == {name: [1, 2]}


@pytest.mark.parametrize(
    ("line", "headers", "body", "status"),
    [
        ("GET /nowhere", {}, b"", 404),
        ("GET /nowhere HTTP/1.0", {}, b"", 404),
        ("HEAD / HTTP/1.1", {}, b"", 501),
        ("OPTIONS * HTTP/1.1", {}, b"", 501),
        ("POST / HTTP/1.0", {}, b"{}", 411),
        ("POST / HTTP/1.1", {"Transfer_Encoding": "chunked"}, b"2\r\n{}\r\n0\r\n\r\n", 411),
        ("POST / HTTP/1.1", {"Content_Length": "9"}, b"{}", 400),
        ("POST / HTTP/1.1", {"Content_Length": "4000000"}, b"{", 400),
        ("POST / HTTP/1.1", {"Content_Length": "999999999"}, b"x" * 2**23, 413),
        ("POST /nowhere HTTP/1.1", {"Content_Length": "999999999"}, b"x" * 2**23, 404),
        ("POST / HTTP/1.1", {f"X_{number}": "x" for number in range(200)}, b"{}", 431),
        ("POST / HTTP/1.1", {"X_Long": "x" * 70_000}, b"{}", 431),
        (f"GET /{'x' * 70_000} HTTP/1.1", {}, b"", 414),
        ("GET / HTTP/9.9", {}, b"", 505),
        ("GET / FTP/1.1", {}, b"", 400),
        ("GET / /\x00 HTTP/1.1", {}, b"", 400),
        ("POST", {}, b"", 400),
        ("\x16\x03\x01 hello", {}, b"", 400),
        ("", {}, b"", 400),
    ],
)
def test_a_request_that_is_none_is_answered_in_one_line(
    server: ReviewServer, line: str, headers: dict[str, str], body: bytes, status: int
) -> None:
    answered, answer = send_raw(server, head(server, line, **headers) + body)
    assert answered == status
    if line.startswith("HEAD"):
        assert answer == ""
    else:
        assert len(json.loads(answer)["problem"].splitlines()) == 1
    assert not server.folder.exists()


@pytest.mark.parametrize("sent", ["POST / HTTP/1.1\r\nHost: ", "whole head"])
def test_a_client_that_stops_halfway_is_told_so(
    server: ReviewServer, monkeypatch: pytest.MonkeyPatch, sent: str
) -> None:
    monkeypatch.setattr(Handler, "timeout", 0.2)
    request = head(server, Content_Length="100") if sent == "whole head" else sent.encode()
    status, answer = send_raw(server, request, half_closed=False)
    assert (status, "problem" in json.loads(answer)) == (408, True)


def test_a_client_that_goes_away_leaves_no_traceback_and_the_next_is_served(
    server: ReviewServer, capfd: pytest.CaptureFixture[str]
) -> None:
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", server.server_port)) as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # closes by a reset
            connection.sendall(head(server, Content_Length="100") + b"{")
    assert ask(server, "POST", body=review())[0] == 200
    assert capfd.readouterr().err == ""


def test_a_full_disk_is_said_and_leaves_what_was_saved(server: ReviewServer) -> None:
    assert ask(server, "POST", body=review())[0] == 200
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limit[1]))  # Python ignores the signal: writing fails
    try:
        status, answer = ask(server, "POST", body=review(verdicts=[{**ONE, "item": 7, "comment": "长" * 5000}]))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert (status, str(server.folder) in json.loads(answer)["problem"]) == (507, True)
    (path,) = server.folder.glob("*.json")
    assert load_review(path) == review()


def test_the_page_that_is_served_may_speak_to_its_own_server_alone(server: ReviewServer) -> None:
    status, page = ask(server, "GET")
    assert status == 200
    assert "default-src 'none'" in page and "connect-src 'self'" in page
    assert all(word not in page for word in ("base", "tuned", "http:", "https:", "prompt_id"))


def test_a_port_that_is_taken_is_named(server: ReviewServer) -> None:
    with pytest.raises(MedcotError, match=f"Port {server.server_port} of 127.0.0.1: .*--port"):
        ReviewServer(server.server_port, [(PACK, KEY)], server.folder)
