"""The served instance as `deploy/` ships it: its units' commands, its settings and its nginx, on loopback.

Belongs here: filling in paths, ports and passwords as deploy/README.md says, starting and stopping everything.
Does not belong here: asking the running instance (served.py).
"""

import os
import re
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx

from medcot_pipeline_tests.deploy.served import DEPLOY, NAME, PASSWORDS, Served
from medcot_pipeline_tests.support.home import BIN, ROOT, Home
from medcot_pipeline_tests.support.servers import stop_server
from medcot_pipeline_tests.support.sockets import free_ports


def fill_in(text: str, values: Mapping[str, str]) -> str:
    """A shipped file with this instance's paths and ports; each of them must stand in it."""
    for shipped, own in values.items():
        assert shipped in text, f"{shipped} is not in the shipped file"
        text = text.replace(shipped, own)
    return text


def unit_command(unit: str, key: str, values: Mapping[str, str]) -> list[str]:
    """The command of a shipped systemd unit."""
    line = re.search(rf"^{key}=(.*)$", (DEPLOY / "systemd" / f"medcot-{unit}.service").read_text(), re.MULTILINE)
    assert line, f"medcot-{unit}.service has no {key}"
    return fill_in(line[1], values).split()


@contextmanager
def started(command: list[str], log: Path, environment: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """A process in a session of its own; a stop reaches all its children, as systemd's control group does."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            command, cwd=ROOT, env=dict(environment), stdout=output, stderr=output, start_new_session=True
        )
    try:
        yield process
    finally:
        stop_server(process)


@contextmanager
def once_loaded(path: Path, process: subprocess.Popen[bytes]) -> Iterator[None]:
    """Wait for the code server's socket, as its unit does, before what follows it is started."""
    deadline = time.monotonic() + 180
    while not path.is_socket():
        assert process.poll() is None and time.monotonic() < deadline, "the code server did not come up"
        time.sleep(0.1)
    yield


def configure_nginx(
    folder: Path,
    https: int,
    http: int,
    reader: int,
    operator: int,
    passwords: Mapping[str, str] = PASSWORDS,
    operators: str = "operator operator;\n",
) -> Path:
    """Write certificate, passwords, operators and nginx's settings; returns the file that nginx is started with."""
    config = folder / "config"
    config.mkdir()
    (folder / "logs").mkdir(exist_ok=True)
    certificate = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={NAME}"]
    certificate += ["-addext", f"subjectAltName=DNS:{NAME}"]
    certificate += ["-keyout", str(config / "tls.key"), "-out", str(config / "tls.crt")]
    subprocess.run(certificate, check=True, capture_output=True)
    lines = []
    for user, password in passwords.items():
        hashed = subprocess.run(
            ["openssl", "passwd", "-6", "-stdin"], input=password, check=True, capture_output=True, text=True
        )
        lines.append(f"{user}:{hashed.stdout}")
    (config / "htpasswd").write_text("".join(lines))
    (config / "operators.map").write_text(operators)
    filled = fill_in(
        (DEPLOY / "nginx" / "medcot.conf").read_text(),
        {
            "listen 443 ": f"listen 127.0.0.1:{https} ",
            "listen 80": f"listen 127.0.0.1:{http}",
            "127.0.0.1:3000": f"127.0.0.1:{reader}",
            "127.0.0.1:3001": f"127.0.0.1:{operator}",
            "/etc/medcot": str(config),
        },
    )
    (folder / "medcot.conf").write_text(filled)
    temporary = "".join(
        f"{kind}_temp_path {folder}/nginx-{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / "nginx.conf").write_text(
        f"user root;\ndaemon off;\npid {folder}/nginx.pid;\nerror_log {folder}/logs/nginx.log;\nevents {{}}\n"
        f"http {{\naccess_log {folder}/logs/access.log;\n{temporary}include {folder}/medcot.conf;\n}}\n"
    )
    return folder / "nginx.conf"


def wait_for_server(port: int, process: subprocess.Popen[bytes]) -> None:
    """Wait until a web server answers."""
    deadline = time.monotonic() + 180
    while True:
        assert process.poll() is None and time.monotonic() < deadline, "the web server did not come up"
        try:
            httpx.get(f"http://127.0.0.1:{port}/server_info", timeout=5)
            return
        except httpx.TransportError:
            time.sleep(0.2)


@contextmanager
def serve(folder: Path, database: dict[str, str], settings: dict[str, str]) -> Iterator[Served]:
    """The whole instance in a folder; `database` and `settings` are what the environment files hold."""
    home = Home(folder)
    logs = folder / "logs"
    for made in (logs, folder / "run", folder / "dagster"):
        made.mkdir(exist_ok=True)
    (folder / "dagster" / "dagster.yaml").write_text((DEPLOY / "dagster.yaml").read_text())
    socket_path = {"/run/medcot": str(folder / "run")}
    (folder / "workspace.yaml").write_text(fill_in((DEPLOY / "workspace.yaml").read_text(), socket_path))
    https, http, reader, operator = free_ports(4)
    nginx = configure_nginx(folder, https, http, reader, operator)
    binaries = {"/opt/medcot/.venv/bin": str(BIN)}
    workspace = {"/opt/medcot/deploy/workspace.yaml": str(folder / "workspace.yaml")}
    without_secrets = home.environment(**database)
    environment = without_secrets | settings
    subprocess.run(unit_command("code", "ExecStartPre", binaries), cwd=ROOT, env=environment, check=True)
    commands = {
        "reader": unit_command("reader", "ExecStart", binaries | workspace | {"--port 3000": f"--port {reader}"}),
        "operator": unit_command("operator", "ExecStart", binaries | workspace | {"--port 3001": f"--port {operator}"}),
        "daemon": unit_command("daemon", "ExecStart", binaries | workspace),
    }
    with (
        started(unit_command("code", "ExecStart", binaries | socket_path), logs / "code.log", environment) as code,
        once_loaded(folder / "run" / "code.sock", code),
        started(commands["daemon"], logs / "daemon.log", without_secrets) as daemon,
        started(commands["reader"], logs / "reader.log", without_secrets) as reading,
        started(commands["operator"], logs / "operator.log", without_secrets) as operating,
        started(["nginx", "-c", str(nginx)], logs / "nginx-start.log", os.environ) as proxy,
    ):
        for port, server in ((reader, reading), (operator, operating), (http, proxy)):
            wait_for_server(port, server)
        processes = {"code": code, "daemon": daemon, "reader": reading, "operator": operating, "nginx": proxy}
        yield Served(
            home=home,
            environment=environment,
            https=https,
            http=http,
            certificate=folder / "config" / "tls.crt",
            logs=logs,
            processes={name: process.pid for name, process in processes.items()},
        )
