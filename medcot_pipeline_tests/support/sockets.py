"""Sockets of this machine: free ports, and who listens where."""

import contextlib
import socket

import psutil


def free_ports(count: int) -> list[int]:
    """Ports of loopback that nobody listens on."""
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [int(each.getsockname()[1]) for each in sockets]
    for each in sockets:
        each.close()
    return ports


def listening(process: int) -> set[str]:
    """Addresses on which a process and its children listen."""
    found = set()
    for member in [psutil.Process(process), *psutil.Process(process).children(recursive=True)]:
        with contextlib.suppress(psutil.NoSuchProcess):  # a child that has ended since listens nowhere
            found |= {
                each.laddr.ip for each in member.net_connections(kind="inet") if each.status == psutil.CONN_LISTEN
            }
    return found
