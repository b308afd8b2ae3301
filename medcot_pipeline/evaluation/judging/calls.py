"""Calls to the judge's endpoint: asked at most once each, kept in a file, read into rulings.

Belongs here: a call, and the ruling that it came to.
Does not belong here: asking and keeping (inference/served/), which calls to make and what they add up to (judge.py),
the wording (wording.py), reading a verdict out of a reply (reading.py).
"""

import dataclasses
import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, get_args

from medcot_pipeline.evaluation.judging.reading import Winner, parse_reply
from medcot_pipeline.evaluation.judging.wording import first_messages, repair_messages, template_sha
from medcot_pipeline.inference.endpoint import Endpoint
from medcot_pipeline.inference.served.calls import Unanswered
from medcot_pipeline.inference.served.paid import Paid, PaidCache, ask_all, ask_twice, took
from medcot_pipeline.inference.served.replies import storable
from medcot_pipeline.records.prompts import Prompt
from medcot_pipeline.settings import JudgeServerSettings


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
class Ruling(Paid):
    """What one call came to. `none` is a reply that held no verdict, even repaired.

    `whole` says that no reply was cut at the token limit without a verdict.
    """

    winner: Winner
    reason: str
    whole: bool = False


def ruling_cache(path: Path) -> PaidCache[Ruling]:
    """The rulings that a file keeps."""
    return PaidCache(path, _ruling_from)


def ask_judge(
    pending: Sequence[Call], settings: JudgeServerSettings, cache: PaidCache[Ruling], progress: Callable[[int], None]
) -> Unanswered[Call]:
    """Ask the judge every call, as `ask_all` does; returns those without a ruling."""

    async def ask(endpoint: Endpoint, call: Call) -> Ruling:
        return await _ask(endpoint, settings, call)

    return ask_all(pending, settings, ask, cache, progress)


async def _ask(endpoint: Endpoint, settings: JudgeServerSettings, call: Call) -> Ruling:
    """One call, and one more where its reply holds no verdict.

    Raises:
        CallFailed: a reply did not come, cannot be used, or was cut before it held a verdict.
    """
    key, language = call.key(settings), call.prompt.language
    boundary, shown = key[:16], (call.prompt.prompt, call.first, call.second)
    said, replies = await ask_twice(
        endpoint,
        settings,
        first_messages(language, *shown, boundary=boundary),
        lambda reply: parse_reply(reply, boundary, shown),
        lambda reply: repair_messages(language, reply, boundary=boundary),
        "a verdict",
    )
    winner, reason = said or ("none", "no verdict in the reply")
    return Ruling(key=key, winner=winner, reason=endpoint.tidy(reason), whole=True, **took(replies, said))


def says_nothing(ruling: Ruling) -> bool:
    """Whether a call came to no verdict."""
    return ruling.winner == "none"


def _ruling_from(line: dict[str, Any]) -> Ruling | None:
    """One cached line; None where it is asked again: older versions kept replies without a verdict that were cut."""
    ruling = Ruling(**line)
    if not isinstance(ruling.reason, str) or ruling.winner not in get_args(Winner):
        return None
    if says_nothing(ruling) and ruling.whole is not True:
        return None
    return dataclasses.replace(ruling, reason=storable(ruling.reason))
