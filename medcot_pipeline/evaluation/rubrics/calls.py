"""Calls to the judge as a grader: asked at most once each, kept in a file, read into gradings.

Belongs here: a call with its repair, and the cache of gradings.
Does not: the client (inference/), which calls to make and what they add up to (grading.py), the wording (wording.py),
what a reply is worth (replies.py).
"""

import asyncio
import dataclasses
import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from medcot_pipeline.evaluation.judging.calls import ReplyCut
from medcot_pipeline.evaluation.rubrics.replies import Said, parse_grading
from medcot_pipeline.evaluation.rubrics.wording import first_messages, repair_messages, template_sha
from medcot_pipeline.inference.calls import Unanswered, ask_each
from medcot_pipeline.inference.endpoint import Endpoint, open_endpoint
from medcot_pipeline.inference.replies import Completion, storable
from medcot_pipeline.records.prompts import Prompt
from medcot_pipeline.records.rubrics.rubric import Criterion
from medcot_pipeline.settings import JudgeSettings
from medcot_pipeline.support.journals import add_line, read_lines


@dataclasses.dataclass(frozen=True)
class GradeCall:
    """One answer to be graded by the criteria of its prompt. `repeat` tells a retest from its original."""

    prompt: Prompt
    criteria: tuple[Criterion, ...]
    answer: str
    repeat: int = 0

    def key(self, settings: JudgeSettings) -> str:
        """Hash of everything the grading depends on: endpoint, model, wording, prompt, criteria and answer.

        Points and axes are not among it: the grader does not see them.
        """
        criteria = [(each.id, each.criterion) for each in self.criteria]
        judge = (settings.base_url, settings.model, template_sha(self.prompt.language))
        content = [*judge, self.prompt.prompt, criteria, self.answer, self.repeat]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()


@dataclasses.dataclass(frozen=True)
class Grading:
    """What one call came to, and one line of the cache.

    `said` is what was said of each criterion, None where the reply held no grading, even repaired. `served` and
    `changed` as in a ruling of the judge.
    """

    key: str
    said: dict[str, Said] | None
    repaired: bool = False
    prompt_tokens: int = 0
    completion_tokens: int = 0
    served: str = ""
    changed: tuple[str, ...] = ()


class GradingCache:
    """Gradings by key in an append-only JSONL file; what is in it is never paid for again."""

    def __init__(self, path: Path) -> None:
        """Read `path` where it exists. A line that a killed run left torn is passed over, its call made again."""
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.open("ab").close()  # a file that cannot be written is refused before a call is paid for
        found = (_grading_from(line) for line in read_lines(path))
        self.gradings = {grading.key: grading for grading in found if grading}

    def add(self, grading: Grading) -> None:
        """Keep a grading; on disk when this returns."""
        self.gradings[grading.key] = grading
        add_line(self._path, dataclasses.asdict(grading))


def ask_all(
    pending: Sequence[GradeCall], settings: JudgeSettings, cache: GradingCache, progress: Callable[[int], None]
) -> Unanswered[GradeCall]:
    """Ask every call, at most `concurrency` at a time, and keep each grading as it comes.

    Returns:
        The calls without a grading.

    Raises:
        MedcotError: the environment names a proxy or certificates that cannot be used.
    """
    progress(0)
    return asyncio.run(_ask_all(pending, settings, cache, progress)) if pending else Unanswered()


async def _ask_all(
    pending: Sequence[GradeCall], settings: JudgeSettings, cache: GradingCache, progress: Callable[[int], None]
) -> Unanswered[GradeCall]:
    async with open_endpoint(settings) as endpoint:

        async def ask(call: GradeCall) -> None:
            cache.add(await _ask(endpoint, settings, call))

        return await ask_each(pending, ask, settings.concurrency, progress)


async def _ask(endpoint: Endpoint, settings: JudgeSettings, call: GradeCall) -> Grading:
    """One call, and one more where its reply holds no grading.

    Raises:
        CallFailed: a reply did not come, cannot be used, or was cut before it held a grading.
    """
    key, language = call.key(settings), call.prompt.language
    boundary, nonce = key[:16], key[16:28]
    messages = first_messages(language, call.prompt.prompt, call.answer, call.criteria, boundary=boundary, nonce=nonce)
    ids = [each.id for each in call.criteria]
    replies: list[Completion] = []

    async def grading() -> dict[str, Said] | None:
        reply = await endpoint.complete(settings.model, messages, temperature=0, max_tokens=settings.max_tokens)
        replies.append(reply)
        said = parse_grading(reply.text, nonce, ids)
        if said is None and reply.finish == "length":
            raise ReplyCut("cut at the token limit before a grading")
        return said

    said = await grading()
    if said is None:
        messages += repair_messages(language, replies[0].text)
        said = await grading()
    return Grading(
        key,
        said and {name: Said(each.met, endpoint.tidy(each.evidence)) for name, each in said.items()},
        repaired=said is not None and len(replies) > 1,
        prompt_tokens=sum(reply.prompt_tokens for reply in replies),
        completion_tokens=sum(reply.completion_tokens for reply in replies),
        served=replies[-1].served,
        changed=replies[-1].changed,
    )


def _grading_from(line: Any) -> Grading | None:
    """One cached line; None where it is no grading."""
    try:
        said = line["said"] and {name: _kept(*each) for name, each in line["said"].items()}
        grading = Grading(**{**line, "said": said, "changed": tuple(line.get("changed", ()))})
    except (TypeError, AttributeError, KeyError):
        return None
    texts = (grading.key, grading.served, *grading.changed)
    counts = (grading.prompt_tokens, grading.completion_tokens)
    if not all(isinstance(text, str) for text in texts) or any(type(count) is not int or count < 0 for count in counts):
        return None
    return dataclasses.replace(grading, served=storable(grading.served))


def _kept(met: Any, evidence: Any) -> Said:
    if not (met is None or isinstance(met, bool)) or not isinstance(evidence, str):
        raise TypeError("no grade")
    return Said(met, storable(evidence))
