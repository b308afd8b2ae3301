"""The one client of OpenAI-compatible servers: one rule for tries and pauses, one set of limits.

Nothing of what a server says in an error goes into this project's own: it may repeat the key that it was sent.

Belongs here: sending, trying again, what a status means, asking in the form that a server takes.
Does not belong here: reading bodies (served/replies.py), many calls at a time (served/calls.py), what is asked
(evaluation/).
"""

import asyncio
import contextlib
import dataclasses
import datetime
import email.utils
import json
import math
import random
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from medcot_pipeline.inference.served.refusals import refusal
from medcot_pipeline.inference.served.replies import (
    Completion,
    Unusable,
    beginning,
    has_no_credit,
    read_completion,
    read_models,
    storable,
    unpack,
)
from medcot_pipeline.settings import ServerSettings
from medcot_pipeline.support.errors import causes
from medcot_pipeline.support.net.client import open_client, proxies_on_the_way

if TYPE_CHECKING:
    import httpx

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 8.0
"""Seconds between two tries, doubled each time."""
LONGEST_WAIT = 60.0
"""Seconds that a server may ask to be left alone for; whoever asks for more is tried again by our own pauses."""
TRIED_AGAIN = frozenset({408, 409, 425, 429})
"""Statuses that pass by themselves, beside those of 500 and above."""
REFUSED = frozenset({400, 403, 413, 415, 422, 451})
"""Statuses that are about this one call: asked again it would be refused again."""
NO_LIST = REFUSED | {404, 405, 410, 501}
"""What a server answers that has no list of its models, or does not show it to every key."""
OTHER_NAMES = {"max_tokens": "max_completion_tokens"}
"""Options by the name that servers take which refuse the first one; other options are left out, and these at last."""
ABOUT_OPTIONS = (400, 422)
"""Statuses with which servers refuse an option."""
SHORTEST_KEY = 8
"""Characters below which a key is a word such as `none`, and no secret."""


class CallFailed(Exception):
    """A call without a usable reply; the message is a few words of this project's own.

    `stops`: every other call would meet the same. `refused`: the server has seen this call and will not answer it.
    """

    def __init__(self, what: str, *, stops: bool = False, refused: bool = False) -> None:
        super().__init__(what)
        self.stops, self.refused = stops, refused


class NotConnected(CallFailed):
    """No server was reached."""


class OptionRefused(CallFailed):
    """The server takes neither an option nor the request without it, or not the value of one: `option` is ours."""

    def __init__(self, what: str, option: str) -> None:
        super().__init__(what, stops=True)
        self.option = option


@dataclasses.dataclass(frozen=True)
class _Response:
    status: int
    body: bytes
    wait: float | None
    location: str


class Endpoint:
    """A server that is open for calls.

    `changed` holds the options that it was found not to take, with the name each is sent under instead, or None where
    it is left out.
    """

    def __init__(self, settings: ServerSettings, client: "httpx.AsyncClient") -> None:
        """Args: settings: address, key, time and tries; client: open while this is in use."""
        self._settings, self._client = settings, client
        self._address = (settings.base_url or "").rstrip("/")
        self._key = settings.api_key.get_secret_value()
        self.changed: dict[str, str | None] = {}

    async def models(self) -> list[str] | None:
        """Names of the models that the server lists, sorted; None where it has no list.

        Raises:
            CallFailed: it cannot be reached, does not take the key, or sends its callers elsewhere.
        """
        try:
            response = await self._send("GET", "/models")
        except Unusable:
            return None
        if 200 <= response.status < 300:
            return read_models(response.body, self.tidy)
        if response.status in NO_LIST:
            return None
        raise self._failure(response)

    async def complete(self, model: str, messages: Sequence[Mapping[str, Any]], **options: Any) -> Completion:
        """One completion. An option that the server does not take is left out, or sent under its other name.

        A call ends after `max_retries + 1` tries of `timeout_s`, and the pauses between them.

        Raises:
            CallFailed: there is no usable reply.
        """
        try:
            response, changed = await self._send_as_taken({"model": model, "messages": messages}, options)
            if not 200 <= response.status < 300:
                raise _about_options(response, options, changed) or self._failure(response)
            completion = read_completion(response.body, self.tidy)
        except Unusable as error:
            raise CallFailed(f"unusable reply: {error}") from None
        self.changed |= changed
        return dataclasses.replace(completion, changed=_in_words(changed))

    def tidy(self, text: str) -> str:
        """Text from a server, safe to store: without the key, and without what UTF-8 cannot hold."""
        text = storable(text)
        return text.replace(self._key, "[key]") if len(self._key) >= SHORTEST_KEY else text

    async def _send_as_taken(
        self, body: Mapping[str, Any], options: Mapping[str, Any]
    ) -> tuple[_Response, dict[str, str | None]]:
        """The response to a request without the options that the server names as not taken, and what was changed."""
        changed = dict(self.changed)
        while True:
            sent = {name: option for option in options if (name := changed.get(option, option)) is not None}
            taken = {name: options[option] for name, option in sent.items()}
            response = await self._send("POST", "/chat/completions", {**body, **taken})
            about = refusal(response.body, sent) if response.status in ABOUT_OPTIONS else None
            if about is None or about.what != "option":
                return response, changed
            option = sent[about.option]
            changed[option] = None if option in changed else OTHER_NAMES.get(option)

    async def _send(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> _Response:
        """The last response of all tries."""
        for number in range(self._settings.max_retries + 1):
            last = number == self._settings.max_retries
            wait = None
            try:
                response = await self._try(method, path, body)
            except CallFailed:
                if last:
                    raise
            else:
                passes = response.status in TRIED_AGAIN or response.status >= 500
                if last or not passes or has_no_credit(response.body):
                    return response
                wait = response.wait
            pause = min(FIRST_PAUSE * 2**number, LONGEST_PAUSE) * random.uniform(0.75, 1.0)
            await asyncio.sleep(pause if wait is None else wait)
        raise AssertionError("unreachable: the last try returns or raises")

    async def _try(self, method: str, path: str, body: Mapping[str, Any] | None) -> _Response:
        import httpx

        own = {"Accept": "application/json", "Accept-Encoding": "identity", "Content-Type": "application/json"}
        if self._key:
            own["Authorization"] = f"Bearer {self._key}"
        content, begun = None if body is None else json.dumps(body).encode(), False
        try:
            async with (
                asyncio.timeout(self._settings.timeout_s),
                self._client.stream(method, self._address + path, content=content, headers=own) as response,
            ):
                sent, headers, begun = response.aiter_raw(), response.headers, True
                packing = headers.get("content-encoding", "").strip().lower()
                received = await (unpack(sent, packing) if response.is_success else beginning(sent))
                return _Response(response.status_code, received, asked_to_wait(headers), headers.get("location", ""))
        except TimeoutError:
            raise CallFailed(f"no reply within {self._settings.timeout_s:g} s") from None
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError) as error:
            raise NotConnected(self._no_connection(error)) from None
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError):
            broke_off = "the connection broke off in the middle of its reply"
            raise CallFailed(broke_off if begun else "it closed the connection without an HTTP reply") from None

    def _no_connection(self, error: Exception) -> str:
        proxy = proxies_on_the_way(self._address)
        if any(isinstance(each, ssl.SSLCertVerificationError) for each in causes(error)):
            return "no connection: its certificate is not trusted"
        return f"no connection through the proxy that {proxy} names" if proxy else "no connection"

    def _failure(self, response: _Response) -> CallFailed:
        """What a status other than 200 means for this call and the others."""
        said = f"HTTP {response.status}"
        if 300 <= response.status < 400:
            return CallFailed(f"it sends its callers on to {_origin(response.location)}, {said}", stops=True)
        if response.status == 402 or has_no_credit(response.body):
            return CallFailed(f"the account has no credit left, {said}", stops=True)
        if response.status == 401:
            return CallFailed(f"the key is not accepted, {said}", stops=True)
        if response.status in (404, 405):
            return CallFailed(f"no such model or address, {said}", stops=True)
        return CallFailed(said, refused=response.status in REFUSED)


@contextlib.asynccontextmanager
async def open_endpoint(settings: ServerSettings) -> AsyncIterator[Endpoint]:
    """The server of `base_url`, which must be set.

    Raises:
        MedcotError: the environment names a proxy or certificates that cannot be used.
    """
    async with open_client(settings.base_url or "") as client:
        yield Endpoint(settings, client)


def _about_options(
    response: _Response, options: Mapping[str, Any], changed: Mapping[str, str | None]
) -> CallFailed | None:
    """The failure of a request whose options the server refuses in the form that was tried last; None for any other."""
    if response.status not in ABOUT_OPTIONS or has_no_credit(response.body):
        return None
    said, sent = f"HTTP {response.status}", {changed.get(option, option): option for option in options}
    about = refusal(response.body, [name for name in sent if name])
    if about is None:
        left_out = refusal(response.body, [*options, *OTHER_NAMES.values()])
        if left_out is None:
            return None
        # It may speak of the prompt, in which a temperature stands: other calls are asked all the same.
        return CallFailed(f"it names {left_out.option}, which it was not sent, {said}", refused=True)
    if about.what == "context":
        return CallFailed(f"prompt and longest reply do not fit into the model's context, {said}", refused=True)
    what = "does not take this value of" if about.what == "value" else "does not take"
    return OptionRefused(f"it {what} {about.option}, {said}", sent[about.option])


def _in_words(changed: Mapping[str, str | None]) -> tuple[str, ...]:
    return tuple(sorted(f"{name} as {other}" if other else f"without {name}" for name, other in changed.items()))


def _origin(location: str) -> str:
    """Scheme, host and port of an address that a server gave; the rest of it is the server's to say."""
    try:
        parts = urlsplit(location)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        host, port = "", None
    if not host.isascii() or not host.replace("-", "").replace(".", "").replace(":", "").isalnum() or len(host) > 253:
        return "another address"
    return f"{parts.scheme}://{host}{f':{port}' if port else ''}"


def asked_to_wait(headers: Mapping[str, str]) -> float | None:
    """Seconds that a server asks to be left alone for, as a number or a date; None where it says nothing usable."""
    for name, unit in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        said = headers.get(name, "")
        with contextlib.suppress(ValueError):
            seconds = float(said) / unit
            return seconds if math.isfinite(seconds) and 0 <= seconds <= LONGEST_WAIT else None
        with contextlib.suppress(ValueError, OverflowError):
            until = email.utils.parsedate_to_datetime(said)
            seconds = (until - datetime.datetime.now(until.tzinfo)).total_seconds()
            return seconds if 0 <= seconds <= LONGEST_WAIT else None
    return None
