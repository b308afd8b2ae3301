"""The one client of OpenAI-compatible servers: tries and pauses, options, proxies, over real sockets."""

import asyncio
import datetime
import email.utils
import threading
from typing import Any

import pytest
from pydantic import SecretStr

from medcot_pipeline.inference import endpoint as client
from medcot_pipeline.inference.endpoint import CallFailed, NotConnected, asked_to_wait, open_endpoint
from medcot_pipeline.inference.served.replies import Completion
from medcot_pipeline.settings import ServerSettings
from medcot_pipeline.support.errors import MedcotError
from medcot_pipeline.support.net.client import is_loopback
from medcot_pipeline_tests.support.chat_endpoint import completion, endpoint
from medcot_pipeline_tests.support.sockets import free_ports
from medcot_pipeline_tests.support.wire import says, wire

SECRET = "sk-never-to-be-seen"
OPTIONS = {"max_tokens": 99, "temperature": 0, "seed": 7}
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
UNSUPPORTED_TOKENS = (
    '{"error": {"message": "Unsupported parameter: \'max_tokens\' is not supported with this model. Use '
    '\'max_completion_tokens\' instead.", "param": "max_tokens", "code": "unsupported_parameter"}}'
)
UNSUPPORTED_TEMPERATURE = (
    '{"error": {"message": "Unsupported value: \'temperature\' does not support 0 with this model. Only the default '
    '(1) value is supported.", "param": "temperature", "code": "unsupported_value"}}'
)
EXTRA_SEED = (
    '{"detail": [{"type": "extra_forbidden", "loc": ["body", "seed"], "msg": "Extra inputs are not permitted"}]}'
)


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "FIRST_PAUSE", 0.001)


def settings(url: str, **changed: Any) -> ServerSettings:
    return ServerSettings(**{"base_url": url, "api_key": SecretStr(SECRET), "max_retries": 0, **changed})


def ask(url: str, calls: int = 1, options: dict[str, Any] | None = None, **changed: Any) -> Completion:
    """The last of some calls over one open endpoint."""

    async def asking() -> Completion:
        async with open_endpoint(settings(url, **changed)) as server:
            for _ in range(calls):
                reply = await server.complete("m", [{"role": "user", "content": "？"}], **(options or OPTIONS))
        return reply

    return asyncio.run(asking())


@pytest.mark.parametrize(
    ("not_taken", "sent", "changed"),
    [
        (
            {"max_tokens": UNSUPPORTED_TOKENS},
            {"max_completion_tokens": 99, "temperature": 0, "seed": 7},
            ("max_tokens as max_completion_tokens",),
        ),
        ({"temperature": UNSUPPORTED_TEMPERATURE}, {"max_tokens": 99, "seed": 7}, ("without temperature",)),
        ({"seed": EXTRA_SEED}, {"max_tokens": 99, "temperature": 0}, ("without seed",)),
        (
            {"max_tokens": UNSUPPORTED_TOKENS, "temperature": UNSUPPORTED_TEMPERATURE, "seed": EXTRA_SEED},
            {"max_completion_tokens": 99},
            ("max_tokens as max_completion_tokens", "without seed", "without temperature"),
        ),
    ],
)
def test_a_server_is_asked_in_the_form_that_it_takes_and_that_is_kept_in_mind(
    not_taken: dict[str, str], sent: dict[str, Any], changed: tuple[str, ...]
) -> None:
    """Staged after griptape-ai/ComfyUI-Griptape#312 (max_tokens) and langchain-ai/langchain-azure#82 (seed)."""
    with endpoint(lambda messages: "好", not_taken=not_taken) as (url, requests):
        reply = ask(url, calls=2)
    assert reply.changed == changed
    assert len(requests) == len(not_taken) + 2, "the second call is asked in that form at once"
    for request in requests[-2:]:
        assert {name: value for name, value in request.items() if name not in ("path", "model", "messages")} == sent


@pytest.mark.parametrize(
    "said",
    [
        '{"error": {"message": "The response was filtered: the prompt speaks of temperature."}}',
        '{"error": {"message": "This prompt is not allowed."}}',
        "",
    ],
)
def test_a_refusal_of_a_prompt_is_no_refusal_of_an_option(said: str) -> None:
    with endpoint(lambda messages: (400, said.encode())) as (url, requests), pytest.raises(CallFailed) as raised:
        ask(url)
    assert (str(raised.value), raised.value.refused, len(requests)) == ("HTTP 400", True, 1)


def test_an_option_that_was_not_the_reason_stays(short_pauses: None) -> None:
    """The server names an option each time, and refuses all the same."""
    with endpoint(lambda messages: (400, EXTRA_SEED.encode())) as (url, requests), pytest.raises(CallFailed):
        ask(url)
    assert [("seed" in request) for request in requests] == [True, False]


@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503, 529])
def test_what_passes_by_itself_is_tried_again(short_pauses: None, status: int) -> None:
    failures = iter([status, status])
    with endpoint(lambda messages: next(failures, None) or "好") as (url, requests):
        assert ask(url, max_retries=2).text == "好"
    assert len(requests) == 3


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 405, 422])
def test_what_does_not_pass_is_not_tried_again(short_pauses: None, status: int) -> None:
    with endpoint(lambda messages: status) as (url, requests), pytest.raises(CallFailed, match=f"HTTP {status}"):
        ask(url, max_retries=2)
    assert len(requests) == 1


def test_a_reply_that_cannot_be_used_is_paid_for_once(short_pauses: None) -> None:
    with endpoint(lambda messages: b"{}") as (url, requests), pytest.raises(CallFailed, match="no completion"):
        ask(url, max_retries=2)
    assert len(requests) == 1


@pytest.mark.parametrize(
    ("said", "waits"),
    [
        ("7", True),
        ("0", True),
        ("soon", False),
        ("-1", False),
        ("nan", False),
        ("1e999", False),
        ("31536000", False),
        ("Thu, 01 Jan 1970 00:00:00 GMT", False),
        ("Mon, 01 Jan 999999999999999999999 00:00:00 GMT", False),
        ("", False),
    ],
)
def test_a_server_is_left_alone_for_as_long_as_it_asks_within_reason(said: str, waits: bool) -> None:
    seconds = asked_to_wait({"retry-after": said})
    assert (seconds is not None) == waits
    assert seconds is None or 0 <= seconds <= 30


def test_a_time_to_wait_may_be_a_date() -> None:
    until = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=50)
    seconds = asked_to_wait({"retry-after": email.utils.format_datetime(until)})
    assert seconds is not None and 0 < seconds <= 50


def test_no_redirect_is_followed_to_another_host() -> None:
    with wire(says(completion("好", "m"))) as other:
        for status in ("301 Moved", "302 Found", "303 See Other", "307 Temporary Redirect", "308 Permanent Redirect"):
            address = f"{other.url}/chat/completions"
            with wire(says("", status, f"Location: {address}")) as server, pytest.raises(CallFailed) as raised:
                ask(server.url)
            said = f"it sends its callers on to {other.url.removesuffix('/v1')}, HTTP {status[:3]}"
            assert (str(raised.value), raised.value.stops) == (said, True)
        assert other.asked == []


def test_a_key_is_sent_and_an_empty_one_is_not() -> None:
    with wire(says(completion("好", "m"))) as server:
        ask(server.url)
        ask(server.url, api_key=SecretStr(""))
    assert [headers.get("authorization") for _, headers, _ in server.asked] == [f"Bearer {SECRET}", None]


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
@pytest.mark.parametrize("proxy", ["http://127.0.0.1:1", "socks5://127.0.0.1:1", "socks://127.0.0.1:1"])
def test_this_machine_is_asked_past_every_proxy(monkeypatch: pytest.MonkeyPatch, variable: str, proxy: str) -> None:
    """Staged after heshengtao/comfyui_LLM_party#160 and run-llama/llama_index#14880: a local model behind a proxy."""
    monkeypatch.setenv(variable, proxy)
    with endpoint(lambda messages: "好") as (url, _):
        assert ask(url).text == "好"


def test_a_proxy_that_is_not_there_is_named_by_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://user:{SECRET}@127.0.0.1:{free_ports(1)[0]}")
    with pytest.raises(NotConnected) as raised:
        ask("http://judge.invalid/v1")
    assert str(raised.value) == "no connection through the proxy that HTTP_PROXY names"


@pytest.mark.parametrize(
    ("variable", "value", "way_out"),
    [
        ("ALL_PROXY", f"socks5://user:{SECRET}@127.0.0.1:1", "pip install 'httpx[socks]'"),
        ("all_proxy", f"socks://user:{SECRET}@127.0.0.1:1", "http://host:port"),
        ("HTTPS_PROXY", f"http://user:{SECRET}@127.0.0.1:port", "http://host:port"),
        ("NO_PROXY", "[::1]", "NO_PROXY as names"),
        ("SSL_CERT_FILE", "/nowhere/ca.pem", "Correct the path"),
    ],
)
def test_an_environment_that_no_client_can_use_is_one_line(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, way_out: str
) -> None:
    """Staged after MoonshotAI/kimi-cli#404 and gradio-app/gradio#4007: socks:// ends the program."""
    monkeypatch.setenv(variable, value)
    with pytest.raises(MedcotError) as raised:
        ask("http://judge.invalid/v1")
    said = str(raised.value)
    assert variable in said and way_out in said and "\n" not in said
    assert SECRET not in f"{raised.getrepr(style='long')}"


@pytest.mark.parametrize(
    ("address", "here"),
    [
        ("http://127.0.0.1:8000/v1", True),
        ("http://127.9.9.9/v1", True),
        ("http://[::1]:8000/v1", True),
        ("http://localhost/v1", True),
        ("http://judge.localhost/v1", True),
        ("http://localhost.example.org/v1", False),
        ("http://10.0.0.1/v1", False),
        ("http://127.0.0.1.example.org/v1", False),
    ],
)
def test_what_is_this_machine(address: str, here: bool) -> None:
    assert is_loopback(address) is here


def test_more_calls_than_a_pool_usually_holds_are_in_flight_at_once() -> None:
    """A call that waits for a place in the pool would spend its own time limit there."""
    many = 110
    together = threading.Barrier(many, timeout=60)

    async def asking() -> list[Completion]:
        async with open_endpoint(settings(url)) as server:
            return await asyncio.gather(*(server.complete("m", []) for _ in range(many)))

    with endpoint(lambda messages: "好" if together.wait() >= 0 else "") as (url, _):
        assert len(asyncio.run(asking())) == many
