import http.client
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from medcot_pipeline.errors import MedcotError
from medcot_pipeline.evaluation.review_join import join_review, load_review, seal
from medcot_pipeline.evaluation.review_server import LARGEST_BODY, ReviewServer
from medcot_pipeline_tests.unit.test_review import KEY, ONE, PACK, review


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ReviewServer]:
    with ReviewServer(0, [(PACK, KEY)], tmp_path / "reviews") as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.shutdown()


def ask(server: ReviewServer, method: str, path: str = "/", body: Any = None, **headers: str) -> tuple[int, str]:
    """A request with exactly these headers, those of the server's own page where none are given."""
    host = f"127.0.0.1:{server.server_port}"
    own = {"Host": host, "Origin": f"http://{host}", "X-Review-Token": server.token}
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


def test_a_saved_review_is_a_file_that_can_be_joined(server: ReviewServer) -> None:
    status, answer = ask(server, "POST", body=review())
    assert status == 200
    (path,) = server.folder.iterdir()
    assert json.loads(answer) == {"file": path.name, "review": review()}
    assert join_review(load_review(path), [KEY], path).missing == 22


def test_a_later_save_from_another_browser_loses_nothing(server: ReviewServer) -> None:
    ask(server, "POST", body=review())
    status, answer = ask(server, "POST", body=review(verdicts=[{**ONE, "item": 7}]))
    assert status == 200
    assert [entry["item"] for entry in json.loads(answer)["review"]["verdicts"]] == [1, 2, 7]


def test_a_reviewer_who_corrects_the_name_leaves_one_file(server: ReviewServer) -> None:
    for name in ("王", "王医生"):
        ask(server, "POST", body=review(reviewer=name))
    assert [path.name for path in server.folder.iterdir()] == [f"review-王医生-{PACK['pack'][:8]}.json"]


def test_two_names_that_make_one_file_name_do_not_mix(server: ReviewServer) -> None:
    ask(server, "POST", body=review(reviewer="王 医生"))
    status, answer = ask(server, "POST", body=review(reviewer="王-医生"))
    assert (status, "is the review of 王 医生" in answer) == (400, True)


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
        ("POST", {"Content_Length": str(LARGEST_BODY + 1)}, 413),
        ("POST", {"Content_Length": "-1"}, 411),
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
        (review(pack="0" * 64), "reviews pack 00000000"),
        (seal({**review(), "verdicts": [{**ONE, "item": 99}]}), "item 99 is not in the pack"),
        ({**review(), "qualification": "院士"}, "changed after it was saved"),
    ],
)
def test_a_save_that_does_not_fit_is_refused_with_the_reason(server: ReviewServer, body: Any, said: str) -> None:
    status, answer = ask(server, "POST", body=body)
    assert (status, said in json.loads(answer)["problem"]) == (400, True), answer
    assert not server.folder.exists()


def test_the_page_that_is_served_may_speak_to_its_own_server_alone(server: ReviewServer) -> None:
    status, page = ask(server, "GET")
    assert status == 200
    assert "default-src 'none'" in page and "connect-src 'self'" in page
    assert all(word not in page for word in ("base", "tuned", "http:", "https:", "prompt_id"))


def test_a_port_that_is_taken_is_named(server: ReviewServer) -> None:
    with pytest.raises(MedcotError, match=f"Port {server.server_port} of 127.0.0.1: .*--port"):
        ReviewServer(server.server_port, [(PACK, KEY)], server.folder)
