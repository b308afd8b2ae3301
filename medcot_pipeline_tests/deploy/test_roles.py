"""Whom nginx, as shipped, lets launch runs; in the place of Dagster's stand two small servers that say who they are."""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from medcot_pipeline_tests.deploy.served import NAME
from medcot_pipeline_tests.deploy.shipped import configure_nginx, started, wait_for_server
from medcot_pipeline_tests.support.sockets import free_ports

PASSWORD = "of everybody here"
USERS = ("alice", "Alice", "ALICE", "Bob", "bob", "王医生", "0", "1", "a  a")


@contextmanager
def web_server(name: str) -> Iterator[int]:
    """A web server that answers with its name; yields its port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(name)))
            self.end_headers()
            self.wfile.write(name.encode())

        def log_message(self, format: str, *args: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server.server_port
        server.shutdown()


@pytest.fixture
def asked(installed: None, tmp_path: Path) -> Iterator[Callable[[str], dict[str, str]]]:
    """Given operators.map, which server each user of the password file reaches."""
    with ExitStack() as stack:

        def ask(operators: str) -> dict[str, str]:
            reader, operator = (stack.enter_context(web_server(name)) for name in ("reader", "operator"))
            https, http = free_ports(2)
            config = configure_nginx(tmp_path, https, http, reader, operator, dict.fromkeys(USERS, PASSWORD), operators)
            log = tmp_path / "logs" / "nginx-start.log"
            wait_for_server(http, stack.enter_context(started(["nginx", "-c", str(config)], log, os.environ)))
            with httpx.Client(verify=False) as client:
                return {user: _server_of(client, https, user) for user in USERS}

        yield ask


def _server_of(client: httpx.Client, port: int, user: str) -> str:
    answer = client.get(
        f"https://127.0.0.1:{port}/",
        auth=(user, PASSWORD),
        headers={"Host": NAME},
        extensions={"sni_hostname": NAME},
    )
    assert answer.status_code == 200, answer.text
    return answer.text


def operators_among(servers: dict[str, str]) -> set[str]:
    return {user for user, server in servers.items() if server == "operator"}


def test_an_operator_is_who_is_listed_and_nobody_whose_name_differs_in_case(
    asked: Callable[[str], dict[str, str]],
) -> None:
    servers = asked("alice alice;\nBob Bob;\n王医生 王医生;\n")
    assert operators_among(servers) == {"alice", "Bob", "王医生"}


def test_a_list_in_the_form_of_version_0_1_holds_for_names_without_capital_letters_alone(
    asked: Callable[[str], dict[str, str]],
) -> None:
    assert operators_among(asked("alice 1;\n王医生 1;\n1 0;\n")) == {"alice", "王医生"}
