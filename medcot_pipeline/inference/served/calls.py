"""Many calls to one endpoint, a few at a time, stopped once going on would be a waste.

Belongs here: how many at a time, when to stop, and counting what failed.
Does not belong here: a call itself (inference/endpoint.py), what comes of it.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from medcot_pipeline.inference.endpoint import CallFailed, NotConnected

T = TypeVar("T")
GIVE_UP_AFTER = 8
"""Calls that fail one after the other before the rest is left unasked: a server that hangs costs minutes, not hours."""


@dataclass
class Unanswered(Generic[T]):
    """What has no answer: calls that failed, in the order they did, and those that were not asked any more.

    `gave_up` says that `GIVE_UP_AFTER` failed in a row.
    """

    failed: list[tuple[T, CallFailed]] = field(default_factory=list)
    not_asked: list[T] = field(default_factory=list)
    gave_up: bool = False

    def __len__(self) -> int:
        return len(self.failed) + len(self.not_asked)

    def counts(self) -> str:
        """How many failed of what, the most frequent first, and how many were not asked."""
        kinds = Counter(str(error) for _, error in self.failed).most_common()
        parts = [f"{count:,} {kind}" if len(self) > 1 else kind for kind, count in kinds]
        return "; ".join([*parts, *([f"{len(self.not_asked):,} not asked"] if self.not_asked else [])])


async def ask_each(
    items: Sequence[T], ask: Callable[[T], Awaitable[None]], concurrency: int, progress: Callable[[int], None]
) -> Unanswered[T]:
    """Ask every item, at most `concurrency` at a time; the first goes alone, and finds out what would meet all others.

    Nothing more is asked after a failure that stops all, where the first finds nobody there, or after `GIVE_UP_AFTER`
    failures in a row.

    Args:
        items: what to ask.
        ask: makes one call and keeps what came of it; raises `CallFailed` where nothing did.
        concurrency: calls in flight.
        progress: told how many calls are done.
    """
    turn, left, in_a_row, done, stopped = asyncio.Semaphore(concurrency), Unanswered[T](), 0, 0, False

    async def one(item: T) -> None:
        nonlocal in_a_row, done, stopped
        async with turn:
            if stopped:
                left.not_asked.append(item)
                return
            try:
                await ask(item)
                in_a_row = 0
            except CallFailed as error:
                left.failed.append((item, error))
                in_a_row += 1
                left.gave_up = left.gave_up or in_a_row >= GIVE_UP_AFTER
                stopped = stopped or left.gave_up or error.stops or (done == 0 and isinstance(error, NotConnected))
        done += 1
        progress(done)

    for item in items[:1]:
        await one(item)
    await asyncio.gather(*(one(item) for item in items[1:]))
    return left
