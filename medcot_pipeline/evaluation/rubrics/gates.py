"""Whether the grader can be trusted: answers whose grades are known, and answers that are graded again.

Belongs here: which probes are asked, and the gates over them.
Does not belong here: making calls (calls.py), scores of the arms (figures.py).
"""

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence

from medcot_pipeline.evaluation.rubrics.calls import GradeCall, Grading
from medcot_pipeline.evaluation.rubrics.replies import grade
from medcot_pipeline.evaluation.rubrics.wording import template
from medcot_pipeline.evaluation.statistics.intervals import share_interval
from medcot_pipeline.records.prompts import Prompt
from medcot_pipeline.records.rubrics.graded import GraderGate
from medcot_pipeline.records.rubrics.rubric import Criterion, Rubric
from medcot_pipeline.settings import JudgeServerSettings

CANARIES = 10
RETESTS = 20
GATES: Mapping[str, tuple[float, str]] = {
    "canary_neutral": (0.95, "answers that say nothing, in which no criterion above 0 points is found met"),
    "canary_order": (0.95, "such answers that order the grader to find everything met, and are not obeyed"),
    "canary_restated": (
        0.90,
        "answers that state criteria above 0 points, in which at least half of these are found met",
    ),
    "retest": (0.90, "criteria that are graded alike when the same answer is graded again"),
}
"""Least share that passes, and what is counted."""


@dataclasses.dataclass(frozen=True)
class GraderProbe:
    """A call whose outcome is known, or is held against that of the call `again`."""

    gate: str
    call: GradeCall
    again: GradeCall | None = None


def probes(rubrics: Sequence[tuple[Prompt, Rubric]], graded: Sequence[GradeCall]) -> list[GraderProbe]:
    """Up to `CANARIES` of each kind, and up to `RETESTS` repeats; which ones follows from hashes of the prompts.

    Args:
        rubrics: prompts that are graded, with their rubrics.
        graded: calls that may be asked again.
    """
    found = []
    for prompt, rubric in sorted(rubrics, key=lambda pair: _hash(pair[0].id))[:CANARIES]:
        wording = template(prompt.language)
        texts = {
            "canary_neutral": wording["neutral"],
            "canary_order": f"{wording['neutral']}\n\n{wording['order']}",
            "canary_restated": "\n".join(f"- {each.criterion}" for each in _stated(rubric.criteria)),
        }
        found += [GraderProbe(gate, GradeCall(prompt, rubric.criteria, text)) for gate, text in texts.items()]
    again = sorted(graded, key=lambda call: _hash("retest", call.prompt.id, call.answer))[:RETESTS]
    return found + [GraderProbe("retest", dataclasses.replace(call, repeat=1), again=call) for call in again]


def gates(
    asked: Sequence[GraderProbe], answered: Mapping[str, Grading], settings: JudgeServerSettings
) -> tuple[GraderGate, ...]:
    """Every gate with its share, its interval and its limit.

    A criterion without a grade is graded alike to none, and a reply without a grading is not as it should be. The
    interval takes cases as independent; criteria of one answer, which `retest` counts, vary together, so that its own
    is a little too narrow.

    Args:
        asked: the probes.
        answered: gradings by the key of their call; a probe that was refused, or whose original was, is left out.
        settings: the endpoint, which is part of the key.
    """
    counts = {gate: [0, 0] for gate in GATES}
    for probe in asked:
        outcome = answered.get(probe.call.key(settings))
        original = answered.get(probe.again.key(settings)) if probe.again else None
        if outcome is None or (probe.again and original is None):
            continue
        found = found_met(probe.call, outcome)
        wanted = [found[each.id] for each in _wanted(probe.call.criteria)]
        if original:
            before = found_met(probe.call, original)
            right, n = sum(found[name] is before[name] is not None for name in found), len(found)
        elif probe.gate == "canary_restated":
            stated = [found[each.id] for each in _stated(probe.call.criteria)]
            right, n = int(2 * stated.count(True) >= len(stated)), 1
        else:
            right, n = int(outcome.said is not None and True not in wanted), 1
        counts[probe.gate][0] += right
        counts[probe.gate][1] += n
    return tuple(_gate(name, *counts[name]) for name in GATES)


def found_met(call: GradeCall, grading: Grading) -> dict[str, bool | None]:
    """By criterion: whether it is met, None where it could not be graded."""
    said = grading.said or {}
    return {each.id: grade(said[each.id], call.answer)[0] if each.id in said else None for each in call.criteria}


def _gate(name: str, right: int, n: int) -> GraderGate:
    least, meaning = GATES[name]
    passed = right / n >= least if n else None
    return GraderGate(gate=name, meaning=meaning, share=share_interval(right, n), n=n, least=least, passed=passed)


def _wanted(criteria: Sequence[Criterion]) -> list[Criterion]:
    return [each for each in criteria if each.points > 0]


def _stated(criteria: Sequence[Criterion]) -> list[Criterion]:
    """Criteria above 0 points that an answer meets by saying them; a question is not asked by saying what it asks."""
    wanted = _wanted(criteria)
    return [each for each in wanted if each.axis != "asking_back"] or wanted


def _hash(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
