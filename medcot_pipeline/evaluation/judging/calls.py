"""Calls to the judge's endpoint: asked at most once each, kept in a file, read into rulings.

Belongs here: a call with its repair, the cache of rulings, reading a verdict out of a reply.
Does not: the client (inference/), which calls to make and what they add up to (judge.py), the wording
(wording.py).
"""

import asyncio
import dataclasses
import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

from medcot_pipeline.evaluation.judging.wording import first_messages, repair_messages, template_sha
from medcot_pipeline.inference.calls import Unanswered, ask_each
from medcot_pipeline.inference.endpoint import CallFailed, Endpoint, open_endpoint
from medcot_pipeline.inference.replies import Completion, storable
from medcot_pipeline.records.prompts import Prompt
from medcot_pipeline.settings import JudgeSettings
from medcot_pipeline.support.journals import add_line, read_lines

Winner = Literal["A", "B", "tie", "none"]
WINNERS: dict[str, Winner] = {"a": "A", "b": "B", "tie": "tie"}
LONGEST_REASON = 500
LONGEST_REPLY = 8000


class ReplyCut(CallFailed):
    """The reply reached its token limit before it held a verdict: paid for, and no verdict of the judge's."""


@dataclasses.dataclass(frozen=True)
class Call:
    """One question to the judge: `first` is shown as A, `second` as B. `repeat` tells a retest from its original."""

    prompt: Prompt
    first: str
    second: str
    repeat: int = 0

    def key(self, settings: JudgeSettings) -> str:
        """Hash of everything the ruling depends on: endpoint, model, wording, prompt and answers.

        The reply limit is not among it: a reply that was cut before its verdict is not kept, and asked again.
        """
        return self._hash(settings.base_url, settings.model)

    def former_key(self, settings: JudgeSettings) -> str:
        """The key under which older versions kept the ruling, which held the reply limit too."""
        return self._hash(settings.base_url, settings.model, settings.max_tokens)

    def _hash(self, *judge: str | int | None) -> str:
        wording = template_sha(self.prompt.language)
        content = [*judge, wording, self.prompt.prompt, self.first, self.second, self.repeat]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()


@dataclasses.dataclass(frozen=True)
class Ruling:
    """What one call came to, and one line of the cache. `none` is a reply that held no verdict, even repaired.

    `served` is the model that the endpoint says it used. `changed` says what was asked otherwise than wanted, since the
    endpoint does not take it. `whole` says that no reply was cut at the token limit without a verdict.
    """

    key: str
    winner: Winner
    reason: str
    repaired: bool = False
    prompt_tokens: int = 0
    completion_tokens: int = 0
    served: str = ""
    changed: tuple[str, ...] = ()
    whole: bool = False


class RulingCache:
    """Rulings by key in an append-only JSONL file; what is in it is never paid for again."""

    def __init__(self, path: Path) -> None:
        """Read `path` where it exists. A line that a killed run left torn is passed over, its call made again."""
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.open("ab").close()  # a file that cannot be written is refused before a call is paid for
        self.rulings: dict[str, Ruling] = {}
        for line in read_lines(path):
            ruling = _ruling_from(line)
            if ruling:
                self.rulings[ruling.key] = ruling

    def adopt(self, key: str, former: str) -> None:
        """Take a ruling that was kept under a former key for that of a key."""
        if key not in self.rulings and former in self.rulings:
            self.rulings[key] = dataclasses.replace(self.rulings[former], key=key)

    def add(self, ruling: Ruling) -> None:
        """Keep a ruling; on disk when this returns."""
        self.rulings[ruling.key] = ruling
        add_line(self._path, dataclasses.asdict(ruling))


def ask_all(
    pending: Sequence[Call], settings: JudgeSettings, cache: RulingCache, progress: Callable[[int], None]
) -> Unanswered[Call]:
    """Ask every call, at most `concurrency` at a time, and keep each ruling as it comes.

    Returns:
        The calls without a ruling.

    Raises:
        MedcotError: the environment names a proxy or certificates that cannot be used.
    """
    progress(0)
    return asyncio.run(_ask_all(pending, settings, cache, progress)) if pending else Unanswered()


async def _ask_all(
    pending: Sequence[Call], settings: JudgeSettings, cache: RulingCache, progress: Callable[[int], None]
) -> Unanswered[Call]:
    async with open_endpoint(settings) as endpoint:

        async def ask(call: Call) -> None:
            cache.add(await _ask(endpoint, settings, call))

        return await ask_each(pending, ask, settings.concurrency, progress)


async def _ask(endpoint: Endpoint, settings: JudgeSettings, call: Call) -> Ruling:
    """One call, and one more where its reply holds no verdict.

    Raises:
        CallFailed: a reply did not come, cannot be used, or was cut before it held a verdict.
    """
    key = call.key(settings)
    boundary = key[:16]
    messages = first_messages(call.prompt.language, call.prompt.prompt, call.first, call.second, boundary=boundary)
    replies: list[Completion] = []

    async def verdict() -> tuple[Winner, str] | None:
        reply = await endpoint.complete(settings.model, messages, temperature=0, max_tokens=settings.max_tokens)
        replies.append(reply)
        # A verdict that an answer holds, said again, is none.
        said = None if boundary in reply.text else parse_reply(reply.text)
        if said is None and reply.finish == "length":
            raise ReplyCut("cut at the token limit before a verdict")
        return said

    said = await verdict()
    if said is None:
        messages += repair_messages(call.prompt.language, replies[0].text)
        said = await verdict()
    winner, reason = said or ("none", "no verdict in the reply")
    return Ruling(
        key,
        winner,
        endpoint.tidy(reason),
        repaired=said is not None and len(replies) > 1,
        prompt_tokens=sum(reply.prompt_tokens for reply in replies),
        completion_tokens=sum(reply.completion_tokens for reply in replies),
        served=replies[-1].served,
        changed=replies[-1].changed,
        whole=True,
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
        named, reason = (value.get("winner"), value.get("reason")) if isinstance(value, dict) else (None, None)
        winner = WINNERS.get(named.strip().lower()) if isinstance(named, str) else None
        if winner:
            found.append((winner, storable(reason)[:LONGEST_REASON] if isinstance(reason, str) else ""))
        at = text.find("{", end)
    return found[0] if len({winner for winner, _ in found}) == 1 else None


def _ruling_from(value: Any) -> Ruling | None:
    """One cached line; None where it is no ruling, or one that is asked again.

    Older versions kept replies without a verdict that were only cut, and text that cannot be stored.
    """
    try:
        ruling = Ruling(**{**value, "changed": tuple(value.get("changed", ()))})
    except (TypeError, AttributeError):
        return None
    texts = (ruling.key, ruling.reason, ruling.served, *ruling.changed)
    counts = (ruling.prompt_tokens, ruling.completion_tokens)
    if not all(isinstance(text, str) for text in texts) or not all(
        type(count) is int and count >= 0 for count in counts
    ):
        return None
    if ruling.winner not in get_args(Winner) or (ruling.winner == "none" and ruling.whole is not True):
        return None
    return dataclasses.replace(ruling, reason=storable(ruling.reason), served=storable(ruling.served))
