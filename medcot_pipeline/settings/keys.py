"""What a key and a server's address look like: the one check for both as they are read.

Belongs here: whether they can be used at all, said without showing a secret.
Does not belong here: whether a server is there and takes them.
"""

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, SecretStr


def key_problem(key: str) -> str:
    """What keeps a key from being sent in a header, without a character of it; empty where nothing does."""
    if not key.isascii():
        return "it holds a character outside of ASCII, such as a curly quote from a word processor"
    if not key.isprintable() or " " in key:
        return "it holds a blank, a line end or another character that cannot be sent"
    return ""


def address_problem(url: str) -> str:
    """What is wrong with a server's address, without showing it, since it may hold a password; empty where it is right.

    An address is stored with the results that came from it, so it must hold no secret.
    """
    try:
        parts = urlsplit(url)
        secret = parts.username is not None or parts.password is not None or "?" in url or "#" in url
        whole = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return "is no web address"
    if not whole or any(not character.isprintable() or character == " " for character in url):
        return "is no web address: it begins with http:// or https://, and a host follows"
    return "holds a user name, a password or a query, and would be stored: a key goes into api_key" if secret else ""


def _sendable(key: SecretStr) -> SecretStr:
    """The key without the line end that a file or a paste leaves behind it."""
    stripped = key.get_secret_value().strip()
    problem = key_problem(stripped)
    if problem:
        raise ValueError(problem)
    return SecretStr(stripped)


Key = Annotated[SecretStr, AfterValidator(_sendable)]
"""A secret that is sent in a header or an address; never shown, and refused without showing it."""
