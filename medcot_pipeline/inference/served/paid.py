"""Calls that are paid for: asked at most once each, and kept in a file as they come.

Belongs here: the cache of what calls came to, asking what is not in it, a second call where a reply cannot be used.
Does not belong here: the client (inference/endpoint.py), how many calls at a time (calls.py), what a reply means.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Generic, TypeVar

from medcot_pipeline.inference.endpoint import CallFailed, Endpoint, open_endpoint
from medcot_pipeline.inference.served.calls import Unanswered, ask_each
from medcot_pipeline.inference.served.messages import Messages
from medcot_pipeline.inference.served.replies import Completion, storable
from medcot_pipeline.settings import JudgeServerSettings
from medcot_pipeline.support.journals import add_line, read_lines


class ReplyCut(CallFailed):
    """The reply reached its token limit before it held what was asked for: paid for, and of no use."""


@dataclass(frozen=True, kw_only=True)
class Paid:
    """What a call took, and one line of the cache, with what it came to.

    `served` is the model that the endpoint says it used. `changed` says what was asked otherwise than wanted, since the
    endpoint does not take it. `repaired` says that the first reply could not be used.
    """

    key: str
    repaired: bool = False
    prompt_tokens: int = 0
    completion_tokens: int = 0
    served: str = ""
    changed: tuple[str, ...] = ()


C = TypeVar("C")
P = TypeVar("P", bound=Paid)
S = TypeVar("S")


class PaidCache(Generic[P]):
    """What calls came to, by key, in an append-only JSONL file; what is in it is never paid for again."""

    def __init__(self, path: Path, read: Callable[[dict[str, Any]], P | None]) -> None:
        """Read `path` where it exists. A line that a killed run left torn is passed over, its call made again.

        Args:
            path: the file, created where missing; its folder too.
            read: makes an entry of a line; None, TypeError, KeyError or AttributeError for one that is asked again.
        """
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.open("ab").close()  # a file that cannot be written is refused before a call is paid for
        self.kept: dict[str, P] = {}
        for line in read_lines(path):
            entry = _entry(line, read)
            if entry:
                self.kept[entry.key] = entry

    def add(self, entry: P) -> None:
        """Keep an entry; on disk when this returns."""
        self.kept[entry.key] = entry
        add_line(self._path, asdict(entry))


def ask_all(
    pending: Sequence[C],
    settings: JudgeServerSettings,
    ask: Callable[[Endpoint, C], Awaitable[P]],
    cache: PaidCache[P],
    progress: Callable[[int], None],
) -> Unanswered[C]:
    """Ask every call, at most `concurrency` at a time, and keep what each came to as it comes.

    Args:
        pending: the calls.
        settings: the server.
        ask: makes one call; raises `CallFailed` where nothing came of it.
        cache: where it is kept.
        progress: told how many calls are done.

    Returns:
        The calls of which nothing came.

    Raises:
        MedcotError: the environment names a proxy or certificates that cannot be used.
    """
    progress(0)

    async def ask_pending() -> Unanswered[C]:
        async with open_endpoint(settings) as endpoint:

            async def ask_one(call: C) -> None:
                cache.add(await ask(endpoint, call))

            return await ask_each(pending, ask_one, settings.concurrency, progress)

    return asyncio.run(ask_pending()) if pending else Unanswered()


async def ask_twice(
    endpoint: Endpoint,
    settings: JudgeServerSettings,
    messages: Messages,
    read: Callable[[str], S | None],
    repair: Callable[[str], Messages],
    wanted: str,
) -> tuple[S | None, list[Completion]]:
    """What one call says, and what a second one says where the first holds nothing that can be read.

    Args:
        endpoint: the server.
        settings: its model and reply limit.
        messages: the call.
        read: what a reply says; None where it says nothing.
        repair: messages behind a reply that said nothing.
        wanted: what was asked for, such as `a verdict`.

    Returns:
        What was said, None where both replies say nothing, and the replies.

    Raises:
        CallFailed: a reply did not come, cannot be used, or was cut before it said anything.
    """
    replies: list[Completion] = []
    for more in (messages, None):
        asked = messages + repair(replies[0].text) if more is None else more
        reply = await endpoint.complete(settings.model, asked, temperature=0, max_tokens=settings.max_tokens)
        replies.append(reply)
        said = read(reply.text)
        if said is not None:
            return said, replies
        if reply.finish == "length":
            raise ReplyCut(f"cut at the token limit before {wanted}")
    return None, replies


def took(replies: Sequence[Completion], said: object) -> dict[str, Any]:
    """The fields of `Paid` that follow from the replies and what they said, without the key."""
    return {
        "repaired": said is not None and len(replies) > 1,
        "prompt_tokens": sum(reply.prompt_tokens for reply in replies),
        "completion_tokens": sum(reply.completion_tokens for reply in replies),
        "served": replies[-1].served,
        "changed": replies[-1].changed,
    }


def _entry(line: Any, read: Callable[[dict[str, Any]], P | None]) -> P | None:
    """An entry of the cache; None where the line is none. Older versions kept text that cannot be stored."""
    try:
        entry = read({**line, "changed": tuple(line.get("changed", ()))})
    except (TypeError, AttributeError, KeyError):
        return None
    if entry is None:
        return None
    texts, counts = (entry.key, entry.served, *entry.changed), (entry.prompt_tokens, entry.completion_tokens)
    if not all(isinstance(text, str) for text in texts) or any(type(count) is not int or count < 0 for count in counts):
        return None
    return replace(entry, served=storable(entry.served))
