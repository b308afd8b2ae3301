"""Calls to the judge's endpoint: asked at most once each, kept in a file, read into rulings.

Belongs here: the HTTP client, retries and repair, when to give up, the cache of rulings, reading a reply.
Does not: which calls to make and what they add up to (judge.py), the wording (judge_prompt.py).
"""

import asyncio
import dataclasses
import hashlib
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from medcot_pipeline.errors import MedcotError
from medcot_pipeline.evaluation.judge_prompt import first_messages, repair_messages, template_sha
from medcot_pipeline.evaluation.records import Prompt
from medcot_pipeline.settings.models import JudgeSettings

if TYPE_CHECKING:
    from openai import AsyncOpenAI

Winner = Literal["A", "B", "tie", "none"]
WINNERS: dict[str, Winner] = {"a": "A", "b": "B", "tie": "tie"}
LONGEST_REASON = 500
LONGEST_REPLY = 8000
GIVE_UP_AFTER = 8
"""Calls that fail one after the other before the rest is left unasked: a judge that hangs costs minutes, not hours."""
NOT_ASKED = "NotAsked"


class NoChoice(Exception):
    """The endpoint answered, but with no completion in it."""


@dataclasses.dataclass(frozen=True)
class Call:
    """One question to the judge: `first` is shown as A, `second` as B. `repeat` tells a retest from its original."""

    prompt: Prompt
    first: str
    second: str
    repeat: int = 0

    def key(self, settings: JudgeSettings) -> str:
        """Hash of everything the ruling depends on: endpoint, model, wording, reply limit, prompt and answers."""
        judge = [settings.base_url, settings.model, settings.max_tokens, template_sha(self.prompt.language)]
        content = [*judge, self.prompt.prompt, self.first, self.second, self.repeat]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()


@dataclasses.dataclass(frozen=True)
class Ruling:
    """What one call came to, and one line of the cache. `none` is a reply that held no verdict, even repaired.

    `served` is the model that the endpoint says it used.
    """

    key: str
    winner: Winner
    reason: str
    repaired: bool = False
    prompt_tokens: int = 0
    completion_tokens: int = 0
    served: str = ""


class RulingCache:
    """Rulings by key in an append-only JSONL file; what is in it is never paid for again."""

    def __init__(self, path: Path) -> None:
        """Read `path` where it exists. A line that a killed run left torn is passed over, its call made again."""
        self.rulings: dict[str, Ruling] = {}
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
        """Keep a ruling; on disk when this returns."""
        self.rulings[ruling.key] = ruling
        self._file.write(json.dumps(dataclasses.asdict(ruling)).encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def ask_all(
    pending: Sequence[Call], settings: JudgeSettings, cache: RulingCache, progress: Callable[[int], None]
) -> dict[str, str]:
    """Ask every call, at most `concurrency` at a time, and keep each ruling as it comes.

    A call ends after `(max_retries + 2) * timeout_s` whatever the endpoint does: pauses, repair and a reply that drips
    included. After
    `GIVE_UP_AFTER` failures in a row the rest stays unasked.

    Returns:
        Of the calls without a ruling: key and class of the error, `NOT_ASKED` for those that were given up.

    Raises:
        MedcotError: the first call, which goes alone, meets what every call would (no connection, no such model, no
            access), or every call was refused.
    """
    progress(0)
    return asyncio.run(_ask_all(pending, settings, cache, progress)) if pending else {}


async def _ask_all(
    pending: Sequence[Call], settings: JudgeSettings, cache: RulingCache, progress: Callable[[int], None]
) -> dict[str, str]:
    import openai

    api_key, retries = settings.api_key.get_secret_value(), settings.max_retries
    turn, errors, in_a_row, done = asyncio.Semaphore(settings.concurrency), dict[str, Exception | None](), 0, 0
    async with openai.AsyncOpenAI(
        base_url=settings.base_url, api_key=api_key, timeout=settings.timeout_s, max_retries=retries
    ) as client:

        async def ask(call: Call) -> None:
            nonlocal in_a_row, done
            async with turn:
                if in_a_row >= GIVE_UP_AFTER:
                    errors[call.key(settings)] = None
                    return
                error = await _ask_and_keep(client, settings, call, cache)
            in_a_row = in_a_row + 1 if error else 0
            if error:
                errors[call.key(settings)] = error
            done += 1
            progress(done)

        await ask(pending[0])
        met = errors.get(pending[0].key(settings))
        if met and _meets_every_call(met):
            raise endpoint_refuses(settings, type(met).__name__)
        await asyncio.gather(*(ask(call) for call in pending[1:]))
    failed = [error for error in errors.values() if error]
    if not cache.rulings and all(isinstance(error, openai.BadRequestError) for error in failed):
        raise endpoint_refuses(settings, "BadRequestError")
    return {key: type(error).__name__ if error else NOT_ASKED for key, error in errors.items()}


async def _ask_and_keep(
    client: "AsyncOpenAI", settings: JudgeSettings, call: Call, cache: RulingCache
) -> Exception | None:
    """Keep the ruling of one call; the error where there is none."""
    import openai

    try:
        async with asyncio.timeout((settings.max_retries + 2) * settings.timeout_s):
            ruling = await _ask(client, settings, call)
    except (openai.OpenAIError, NoChoice, ValueError, TimeoutError) as error:
        return error
    cache.add(ruling)
    return None


async def _ask(client: "AsyncOpenAI", settings: JudgeSettings, call: Call) -> Ruling:
    """One call, and one more where its reply holds no verdict."""
    key = call.key(settings)
    boundary = key[:16]
    messages: list[Any] = first_messages(
        call.prompt.language, call.prompt.prompt, call.first, call.second, boundary=boundary
    )
    spent, served = [0, 0], ""

    async def complete() -> str:
        nonlocal served
        response = await client.chat.completions.create(
            model=settings.model, messages=messages, temperature=0, max_tokens=settings.max_tokens
        )
        choices = getattr(response, "choices", None)
        if not choices:
            raise NoChoice("no completion in the response")
        served = response.model or ""
        if response.usage:
            spent[0] += response.usage.prompt_tokens or 0
            spent[1] += response.usage.completion_tokens or 0
        message = choices[0].message
        return str(message.content or "") if message else ""

    def verdict(reply: str) -> tuple[Winner, str] | None:
        return None if boundary in reply else parse_reply(reply)  # a verdict that an answer holds, said again, is none

    reply = await complete()
    said, repaired = verdict(reply), False
    if not said:
        messages += repair_messages(call.prompt.language, reply)
        said = verdict(await complete())
        repaired = said is not None
    winner, reason = said or ("none", "no verdict in the reply")
    return Ruling(key, winner, reason, repaired, spent[0], spent[1], served)


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

    Thinking that was never closed is no verdict, whatever stands in it. Only the last `LONGEST_REPLY` characters are
    read: a judge that rambles past that is asked to repeat itself.
    """
    said = reply.rpartition("</think>")[2]
    text, decoder, found = "" if "<think>" in said else said[-LONGEST_REPLY:], json.JSONDecoder(), []
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
