"""nginx before the web servers, as shipped: who may do what."""

import base64
import json
import re
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin, Subprotocol

from medcot_pipeline_tests.deploy.served import LAUNCH, NAME, PASSWORDS, Served
from medcot_pipeline_tests.support.sockets import listening

VARIABLES = {"assets": [{"path": ["raw_medical_o1"]}]}
MUTATION = {"query": LAUNCH, "variables": VARIABLES}
BY_URL = {"query": LAUNCH, "variables": json.dumps(VARIABLES)}
FOLLOW = """subscription($run: ID!) { pipelineRunLogs(runId: $run) { __typename
  ... on PipelineRunLogsSubscriptionSuccess { messages { ... on MessageEvent { message } } } } }"""


@contextmanager
def launching_nothing(served: Served) -> Iterator[None]:
    """Assert that no run comes to be meanwhile."""
    before = set(served.runs())
    yield
    assert set(served.runs()) == before


@pytest.mark.parametrize("path", ["/", "/graphql", "/server_info", "/logs/x/compute_logs/y/err", "/download_debug/x"])
def test_nothing_is_shown_without_the_password(served: Served, path: str) -> None:
    origin, method = served.origin, "POST" if path == "/graphql" else "GET"
    answer = served.request(method, path, None, origin, json={"query": "{ version }"})
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == 'Basic realm="medcot"'


def test_a_wrong_password_is_refused(served: Served) -> None:
    with httpx.Client(verify=served.tls(), auth=("operator", PASSWORDS["reader"])) as client:
        url, host = f"https://127.0.0.1:{served.https}/", {"Host": f"{NAME}:{served.https}"}
        assert client.get(url, headers=host, extensions={"sni_hostname": NAME}).status_code == 401


def test_a_mutation_without_the_password_launches_nothing(served: Served) -> None:
    with launching_nothing(served):
        answer = served.request("POST", "/graphql", None, served.origin, json=MUTATION)
    assert answer.status_code == 401


@pytest.mark.parametrize(
    "origin",
    ["https://evil.example", "null", f"http://{NAME}", f"https://{NAME}", f"https://{NAME}.evil.example", None],
)
def test_a_mutation_from_another_origin_launches_nothing(served: Served, origin: str | None) -> None:
    with launching_nothing(served):
        answer = served.request("POST", "/graphql", "operator", origin, json=MUTATION)
    assert answer.status_code == 403


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"])
def test_a_mutation_by_another_method_than_post_launches_nothing(served: Served, method: str) -> None:
    with launching_nothing(served):
        answer = served.request(method, "/graphql", "operator", served.origin, params=BY_URL)
    assert answer.status_code == 405


@pytest.mark.parametrize("content_type", ["text/plain", "application/graphql", "application/x-www-form-urlencoded"])
def test_a_post_that_a_foreign_form_could_send_launches_nothing(served: Served, content_type: str) -> None:
    options = {"params": BY_URL, "content": LAUNCH, "headers": {"Content-Type": content_type}}
    with launching_nothing(served):
        answer = served.request("POST", "/graphql", "operator", served.origin, **options)
    assert answer.status_code == 405


@pytest.mark.parametrize("kind", ["materialization", "check", "observation"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_events_from_outside_are_refused_to_operators_too(served: Served, kind: str, method: str) -> None:
    path = f"/report_asset_{kind}/qlora_adapter?data_version=forged"
    assert served.request(method, path, "operator", served.origin).status_code == 403


def test_plain_http_redirects_to_the_same_page_over_tls(served: Served) -> None:
    url = f"http://127.0.0.1:{served.http}/assets?view=list"
    answer = httpx.get(url, headers={"Host": NAME}, follow_redirects=False)
    assert (answer.status_code, answer.headers["Location"]) == (301, f"https://{NAME}/assets?view=list")


def test_plain_http_under_another_name_goes_nowhere(served: Served) -> None:
    answer = httpx.get(f"http://127.0.0.1:{served.http}/", headers={"Host": "evil.example"}, follow_redirects=False)
    assert answer.status_code == 421


def test_another_name_gets_no_certificate(served: Served) -> None:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection(("127.0.0.1", served.https)) as plain, pytest.raises(ssl.SSLError):
        context.wrap_socket(plain, server_hostname="evil.example")


def test_another_host_header_behind_the_right_certificate_is_refused(served: Served) -> None:
    answer = served.request("GET", "/", "operator", headers={"Host": "evil.example"})
    assert answer.status_code == 421


def test_the_operator_launches_a_run_from_the_page(served: Served) -> None:
    run = served.launch("raw_medical_o1")
    assert served.finish(run) == "SUCCESS"


def test_a_reader_is_refused_the_same_mutation(served: Served) -> None:
    with launching_nothing(served):
        refused = served.api(LAUNCH, "reader", **VARIABLES)
    assert refused == {"launchRun": {"__typename": "UnauthorizedError"}}


def follow(served: Served, origin: str | None, user: str | None = "reader") -> ClientConnection:
    """A websocket to the API through nginx."""
    plain = socket.create_connection(("127.0.0.1", served.https), timeout=60)
    password = base64.b64encode(f"{user}:{PASSWORDS[user]}".encode()).decode() if user else ""
    headers = {"Authorization": f"Basic {password}"} if user else {}
    return connect(
        f"wss://{NAME}:{served.https}/graphql",
        sock=plain,
        ssl=served.tls(),
        server_hostname=NAME,
        origin=Origin(origin) if origin else None,
        additional_headers=headers,
        subprotocols=[Subprotocol("graphql-ws")],
        proxy=None,
    )


def test_a_run_is_followed_over_a_websocket(served: Served, whole_run: str) -> None:
    with follow(served, served.origin) as websocket:
        websocket.send(json.dumps({"type": "connection_init"}))
        payload = {"query": FOLLOW, "variables": {"run": whole_run}}
        websocket.send(json.dumps({"type": "start", "id": "1", "payload": payload}))
        messages: list[str] = []
        while not any("raw_medical_o1" in message for message in messages):
            answer = json.loads(websocket.recv(timeout=120))
            assert answer["type"] in ("connection_ack", "ka", "data"), answer
            if answer["type"] == "data":
                messages += [event["message"] for event in answer["payload"]["data"]["pipelineRunLogs"]["messages"]]


@pytest.mark.parametrize(
    ("origin", "user", "status"),
    [("https://evil.example", "operator", 403), (None, "operator", 403), ("own", None, 401)],
)
def test_a_websocket_of_a_foreign_page_or_without_password_is_refused(
    served: Served, origin: str | None, user: str | None, status: int
) -> None:
    with pytest.raises(InvalidStatus) as refused:
        follow(served, served.origin if origin == "own" else origin, user)
    assert refused.value.response.status_code == status


def test_the_page_cannot_be_framed_sniffed_or_reached_in_plain_again(served: Served) -> None:
    headers = served.request("GET", "/", "reader").headers
    assert headers["X-Frame-Options"] == "DENY"
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert headers.get_list("X-Content-Type-Options") == ["nosniff"]
    assert headers["Strict-Transport-Security"].startswith("max-age=")
    assert "Access-Control-Allow-Origin" not in headers


def test_a_body_over_a_megabyte_is_refused(served: Served) -> None:
    answer = served.request("POST", "/graphql", "operator", served.origin, json={"query": "x" * 1_100_000})
    assert answer.status_code == 413


def test_a_flood_from_one_address_is_slowed(served: Served) -> None:
    """Sent at once, and from an address of its own, so that the other tests keep theirs."""
    request = f"GET / HTTP/1.1\r\nHost: {NAME}\r\n"
    flood = f"{request}\r\n" * 599 + f"{request}Connection: close\r\n\r\n"
    with (
        socket.create_connection(("127.0.0.1", served.https), source_address=("127.0.0.2", 0)) as plain,
        served.tls().wrap_socket(plain, server_hostname=NAME) as connection,
    ):
        connection.sendall(flood.encode())
        answers = b"".join(iter(lambda: connection.recv(65536), b""))
    statuses = re.findall(rb"^HTTP/1.1 (\d+)", answers, re.MULTILINE)
    assert len(statuses) == 600
    assert set(statuses) == {b"401", b"429"}


@pytest.mark.parametrize("server", ["reader", "operator"])
def test_the_web_servers_listen_on_loopback_alone(served: Served, server: str) -> None:
    assert listening(served.processes[server]) == {"127.0.0.1"}


@pytest.mark.parametrize("server", ["code", "daemon"])
def test_code_server_and_daemon_listen_on_no_port(served: Served, server: str) -> None:
    assert listening(served.processes[server]) == set()
