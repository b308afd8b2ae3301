"""The HTTP client for whatever lies outside: no redirects, and past every proxy to this machine itself.

Belongs here: opening the client, and what of the environment keeps one from being opened.
Does not belong here: requests and what is made of a response (inference/, orchestration/automation/alerts.py), the
hub's own client (hub.py).
"""

import ipaddress
import logging
import os
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from medcot_pipeline.support.errors import MedcotError

if TYPE_CHECKING:
    import httpx

PROXIES = ("http_proxy", "https_proxy", "all_proxy")
CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR")


def open_client(address: str) -> "httpx.AsyncClient":
    """A client for one address. It follows no redirect: that would take what is sent, and its key, to another host.

    Its only limit is the time to connect; the caller limits a call's time and the number of connections.

    Raises:
        MedcotError: the environment names a proxy or certificates that cannot be used.
    """
    import httpx

    for library in ("httpx", "httpcore"):  # their lines repeat addresses, and what a server answered
        logging.getLogger(library).setLevel(logging.WARNING)
    here = is_loopback(address)
    if not here:
        require_usable_environment()
    return httpx.AsyncClient(
        trust_env=not here, timeout=httpx.Timeout(None, connect=10.0), limits=httpx.Limits(max_connections=None)
    )


def is_loopback(address: str) -> bool:
    """Whether an address leads to this machine itself."""
    host = urlsplit(address).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def proxies_on_the_way(address: str) -> str:
    """The variables that name a proxy for an address, as they are written in the environment; empty without one."""
    if is_loopback(address):
        return ""
    wanted = (f"{urlsplit(address).scheme}_proxy", "all_proxy")
    return " and ".join(sorted(name for name, value in os.environ.items() if value and name.lower() in wanted))


def require_usable_environment() -> None:
    """Refuse proxies and certificates that no client can be opened with.

    Raises:
        MedcotError: by the names of the variables; a proxy's address may hold a password and is not shown.
    """
    import httpx

    try:
        httpx.Client().close()
        return
    except ImportError:
        way_out = "A SOCKS proxy needs `pip install 'httpx[socks]'`; unset the variable to do without."
    except (ValueError, httpx.InvalidURL):
        way_out = "A proxy is written as http://host:port, and NO_PROXY as names with commas between; or unset them."
    except OSError:
        named = " and ".join(f"{name}={os.environ[name]}" for name in CERTIFICATES if os.environ.get(name))
        raise MedcotError(f"{named}: no certificates can be read there.", "Correct the path, or unset it.") from None
    set_ = sorted(name for name, value in os.environ.items() if value and name.lower() in (*PROXIES, "no_proxy"))
    raise MedcotError(f"The environment names a proxy that cannot be used ({', '.join(set_)}).", way_out) from None
