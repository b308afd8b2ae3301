"""Calls to the judge as a grader: asked at most once each, kept in a file, read into gradings.

Belongs here: a call, and the grading that it came to.
Does not belong here: asking and keeping (inference/served/), which calls to make and what they add up to (grading.py),
the wording (wording.py), what a reply is worth (replies.py).
"""

import dataclasses
import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from medcot_pipeline.evaluation.rubrics.replies import Said, parse_grading
from medcot_pipeline.evaluation.rubrics.wording import first_messages, repair_messages, template_sha
from medcot_pipeline.inference.endpoint import Endpoint
from medcot_pipeline.inference.served.calls import Unanswered
from medcot_pipeline.inference.served.paid import Paid, PaidCache, ask_all, ask_twice, took
from medcot_pipeline.inference.served.replies import storable
from medcot_pipeline.records.prompts import Prompt
from medcot_pipeline.records.rubrics.rubric import Criterion
from medcot_pipeline.settings import JudgeServerSettings


@dataclasses.dataclass(frozen=True)
class GradeCall:
    """One answer to be graded by the criteria of its prompt. `repeat` tells a retest from its original."""

    prompt: Prompt
    criteria: tuple[Criterion, ...]
    answer: str
    repeat: int = 0

    def key(self, settings: JudgeServerSettings) -> str:
        """Hash of everything the grading depends on: endpoint, model, wording, prompt, criteria and answer.

        Points and axes are not among it: the grader does not see them.
        """
        criteria = [(each.id, each.criterion) for each in self.criteria]
        judge = (settings.base_url, settings.model, template_sha(self.prompt.language))
        content = [*judge, self.prompt.prompt, criteria, self.answer, self.repeat]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()


@dataclasses.dataclass(frozen=True)
class Grading(Paid):
    """What one call came to: what was said of each criterion, None where no reply held a grading, even repaired."""

    said: dict[str, Said] | None


def grading_cache(path: Path) -> PaidCache[Grading]:
    """The gradings that a file keeps."""
    return PaidCache(path, _grading_from)


def ask_grader(
    pending: Sequence[GradeCall],
    settings: JudgeServerSettings,
    cache: PaidCache[Grading],
    progress: Callable[[int], None],
) -> Unanswered[GradeCall]:
    """Ask the grader every call, as `ask_all` does; returns those without a grading."""

    async def ask(endpoint: Endpoint, call: GradeCall) -> Grading:
        return await _ask(endpoint, settings, call)

    return ask_all(pending, settings, ask, cache, progress)


async def _ask(endpoint: Endpoint, settings: JudgeServerSettings, call: GradeCall) -> Grading:
    """One call, and one more where its reply holds no grading.

    Raises:
        CallFailed: a reply did not come, cannot be used, or was cut before it held a grading.
    """
    key, language = call.key(settings), call.prompt.language
    boundary, nonce, ids = key[:16], key[16:28], [each.id for each in call.criteria]
    said, replies = await ask_twice(
        endpoint,
        settings,
        first_messages(language, call.prompt.prompt, call.answer, call.criteria, boundary=boundary, nonce=nonce),
        lambda reply: parse_grading(reply, nonce, ids),
        lambda reply: repair_messages(language, reply),
        "a grading",
    )
    tidied = said and {name: Said(each.met, endpoint.tidy(each.evidence)) for name, each in said.items()}
    return Grading(key=key, said=tidied, **took(replies, said))


def says_nothing(grading: Grading) -> bool:
    """Whether a call came to no grading."""
    return grading.said is None


def _grading_from(line: dict[str, Any]) -> Grading:
    """One cached line.

    Raises:
        TypeError: what it says of a criterion is no grade.
    """
    said = line["said"] and {name: _kept(*each) for name, each in line["said"].items()}
    return Grading(**{**line, "said": said})


def _kept(met: Any, evidence: Any) -> Said:
    if not (met is None or isinstance(met, bool)) or not isinstance(evidence, str):
        raise TypeError("no grade")
    return Said(met, storable(evidence))
