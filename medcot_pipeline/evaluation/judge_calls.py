"""Calls to the judge's endpoint: asked at most once each, kept in a file, read into rulings.

Belongs here: the HTTP client, retries and repair, the cache of rulings, reading a reply.
Does not: which calls to make and what they add up to (judge.py), the wording (judge_prompt.py).
"""

import dataclasses
import json
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from medcot_pipeline.errors import MedcotError
from medcot_pipeline.evaluation.judge_prompt import first_messages, repair_messages
from medcot_pipeline.evaluation.records import Prompt
from medcot_pipeline.settings.models import JudgeSettings

if TYPE_CHECKING:
    from openai import OpenAI

Winner = Literal["A", "B", "tie", "none"]
WINNERS: dict[str, Winner] = {"a": "A", "b": "B", "tie": "tie"}
LONGEST_REASON = 500
LONGEST_REPLY = 8000


class NoChoice(Exception):
    """The endpoint answered, but with no completion in it."""


@dataclasses.dataclass(frozen=True)
class Call:
    """One question to the judge: `first` is shown as A, `second` as B."""

    key: str
    prompt: Prompt
    first: str
    second: str


@dataclasses.dataclass(frozen=True)
class Ruling:
    """What one call came to, and one line of the cache. `none` is a reply that held no verdict, even repaired."""

    key: str
    winner: Winner
    reason: str
    repaired: bool = False
    prompt_tokens: int = 0
    completion_tokens: int = 0


class RulingCache:
    """Rulings by key in an append-only JSONL file; what is in it is never paid for again."""

    def __init__(self, path: Path) -> None:
        """Read `path` where it exists. A line that a killed run left torn is passed over, its call made again."""
        self.rulings: dict[str, Ruling] = {}
        self._lock = threading.Lock()
        path.parent.mkdir(parents=True, exist_ok=True)
        content = path.read_bytes() if path.exists() else b""
        for line in content.splitlines():
            ruling = _ruling_from(line)
            if ruling:
                self.rulings[ruling.key] = ruling
        self._file = path.open("ab")
        if content and not content.endswith(b"\n"):
            self._file.write(b"\n")

    def add(self, ruling: Ruling) -> None:
        """Keep a ruling; on disk when this returns. Safe from any thread."""
        line = json.dumps(dataclasses.asdict(ruling)).encode() + b"\n"
        with self._lock:
            self.rulings[ruling.key] = ruling
            self._file.write(line)
            self._file.flush()
            os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def ask_all(
    pending: list[Call], settings: JudgeSettings, store: RulingCache, progress: Callable[[int], None]
) -> dict[str, str]:
    """Ask every call and keep each ruling as it comes; of the calls that failed, key and error class.

    Raises:
        MedcotError: the first call, which goes alone, meets what every call would: no connection, model or access.
    """
    import openai

    progress(0)
    if not pending:
        return {}
    api_key, timeout, retries = settings.api_key.get_secret_value(), settings.timeout_s, settings.max_retries
    with (
        openai.OpenAI(base_url=settings.base_url, api_key=api_key, timeout=timeout, max_retries=retries) as client,
        ThreadPoolExecutor(max_workers=settings.concurrency) as pool,
    ):
        error = _ask_and_keep(client, settings.model, pending[0], store)
        if error and _meets_every_call(error):
            raise endpoint_refuses(settings, type(error).__name__)
        errors = {pending[0].key: error}
        progress(1)
        futures = {pool.submit(_ask_and_keep, client, settings.model, call, store): call for call in pending[1:]}
        try:
            for future in as_completed(futures):
                errors[futures[future].key] = future.result()
                progress(len(errors))
        finally:
            pool.shutdown(cancel_futures=True)
    return {key: type(error).__name__ for key, error in errors.items() if error}


def _ask_and_keep(client: "OpenAI", model: str, call: Call, store: RulingCache) -> Exception | None:
    """Keep the ruling of one call, in the thread that paid for it; the error where there is none."""
    import openai

    try:
        ruling = _ask(client, model, call)
    except (openai.OpenAIError, NoChoice, ValueError) as error:
        return error
    store.add(ruling)
    return None


def _ask(client: "OpenAI", model: str, call: Call) -> Ruling:
    """One call, and one more where its reply holds no verdict."""
    messages: list[Any] = first_messages(
        call.prompt.language, call.prompt.prompt, call.first, call.second, boundary=call.key[:16]
    )
    spent = [0, 0]

    def complete() -> str:
        response = client.chat.completions.create(model=model, messages=messages, temperature=0)
        choices = getattr(response, "choices", None)
        if not choices:
            raise NoChoice("no completion in the response")
        if response.usage:
            spent[0] += response.usage.prompt_tokens
            spent[1] += response.usage.completion_tokens
        return choices[0].message.content or ""

    reply = complete()
    said, repaired = parse_reply(reply), False
    if not said:
        messages += repair_messages(call.prompt.language, reply)
        said = parse_reply(complete())
        repaired = said is not None
    winner, reason = said or ("none", "no verdict in the reply")
    return Ruling(call.key, winner, reason, repaired, *spent)


def _meets_every_call(error: Exception) -> bool:
    """Whether an error would meet every call: no connection, no such model or path, no access."""
    import openai

    if isinstance(error, openai.APITimeoutError):
        return type(error.__cause__).__name__ == "ConnectTimeout"
    everyone = (openai.NotFoundError, openai.AuthenticationError, openai.PermissionDeniedError)
    return isinstance(error, (openai.APIConnectionError, *everyone))


def endpoint_refuses(settings: JudgeSettings, errors: str) -> MedcotError:
    """The error by its class only: an endpoint's own text may repeat the key it was sent."""
    return MedcotError(
        f"MEDCOT_JUDGE__BASE_URL={settings.base_url}: the judge {settings.model!r} answers no call ({errors}).",
        "Start the endpoint, or correct MEDCOT_JUDGE__BASE_URL, MEDCOT_JUDGE__MODEL or MEDCOT_JUDGE__API_KEY.",
    )


def parse_reply(reply: str) -> tuple[Winner, str] | None:
    """The verdict in a reply, after any thinking and amid any prose; None where it holds none, or two that differ.

    Only the last `LONGEST_REPLY` characters are read: a judge that rambles past that is asked to repeat itself.
    """
    text, decoder, found = reply.rpartition("</think>")[2][-LONGEST_REPLY:], json.JSONDecoder(), []
    at = text.find("{")
    while at >= 0:
        try:
            value, end = decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            value, end = None, at + 1
        winner = WINNERS.get(str(value.get("winner")).strip().lower()) if isinstance(value, dict) else None
        if winner:
            found.append((winner, str(value.get("reason", ""))[:LONGEST_REASON]))
        at = text.find("{", end)
    return found[0] if len({winner for winner, _ in found}) == 1 else None


def _ruling_from(line: bytes) -> Ruling | None:
    """One cached line; None where it is torn."""
    try:
        return Ruling(**json.loads(line))
    except (ValueError, TypeError):
        return None
