"""Calls to the judge's endpoint: asked at most once each, kept in a file, read into rulings.

Belongs here: a call with its repair, the cache of rulings.
Does not: the client (inference/), which calls to make and what they add up to (judge.py), the wording (wording.py),
reading a verdict out of a reply (reading.py).
"""

import asyncio
import dataclasses
import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, get_args

from medcot_pipeline.evaluation.judging.reading import Winner, parse_reply
from medcot_pipeline.evaluation.judging.wording import first_messages, repair_messages, template_sha
from medcot_pipeline.inference.calls import Unanswered, ask_each
from medcot_pipeline.inference.endpoint import CallFailed, Endpoint, open_endpoint
from medcot_pipeline.inference.replies import Completion, storable
from medcot_pipeline.records.prompts import Prompt
from medcot_pipeline.settings import JudgeServerSettings
from medcot_pipeline.support.journals import add_line, read_lines


class ReplyCut(CallFailed):
    """The reply reached its token limit before it held a verdict: paid for, and no verdict of the judge's."""


@dataclasses.dataclass(frozen=True)
class Call:
    """One question to the judge: `first` is shown as A, `second` as B. `repeat` tells a retest from its original."""

    prompt: Prompt
    first: str
    second: str
    repeat: int = 0

    def key(self, settings: JudgeServerSettings) -> str:
        """Hash of everything the ruling depends on: endpoint, model, wording, prompt and answers.

        The reply limit is not among it: a reply that was cut before its verdict is not kept, and asked again.
        """
        judge, wording = [settings.base_url, settings.model], template_sha(self.prompt.language)
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

    def add(self, ruling: Ruling) -> None:
        """Keep a ruling; on disk when this returns."""
        self.rulings[ruling.key] = ruling
        add_line(self._path, dataclasses.asdict(ruling))


def ask_all(
    pending: Sequence[Call], settings: JudgeServerSettings, cache: RulingCache, progress: Callable[[int], None]
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
    pending: Sequence[Call], settings: JudgeServerSettings, cache: RulingCache, progress: Callable[[int], None]
) -> Unanswered[Call]:
    async with open_endpoint(settings) as endpoint:

        async def ask(call: Call) -> None:
            cache.add(await _ask(endpoint, settings, call))

        return await ask_each(pending, ask, settings.concurrency, progress)


async def _ask(endpoint: Endpoint, settings: JudgeServerSettings, call: Call) -> Ruling:
    """One call, and one more where its reply holds no verdict.

    Raises:
        CallFailed: a reply did not come, cannot be used, or was cut before it held a verdict.
    """
    key = call.key(settings)
    boundary, shown = key[:16], (call.prompt.prompt, call.first, call.second)
    messages = first_messages(call.prompt.language, *shown, boundary=boundary)
    replies: list[Completion] = []

    async def verdict() -> tuple[Winner, str] | None:
        reply = await endpoint.complete(settings.model, messages, temperature=0, max_tokens=settings.max_tokens)
        replies.append(reply)
        said = parse_reply(reply.text, boundary, shown)
        if said is None and reply.finish == "length":
            raise ReplyCut("cut at the token limit before a verdict")
        return said

    said = await verdict()
    if said is None:
        messages += repair_messages(call.prompt.language, replies[0].text, boundary=boundary)
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
