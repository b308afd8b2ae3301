"""Every answer graded by the rubric of its prompt, each call paid for once.

Belongs here: which calls to make, grades out of gradings, what the calls add up to.
Does not belong here: making calls (calls.py), what grades add up to (figures.py), whether to trust the grader
(gates.py).
"""

import dataclasses
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from medcot_pipeline.evaluation.judging.asked import CallTotals, ask_what_is_new
from medcot_pipeline.evaluation.rubrics import gates as grader_gates
from medcot_pipeline.evaluation.rubrics.calls import GradeCall, Grading, ask_grader, grading_cache, says_nothing
from medcot_pipeline.evaluation.rubrics.replies import grade
from medcot_pipeline.records.answers import Answer
from medcot_pipeline.records.arms import Arm
from medcot_pipeline.records.prompts import Prompt
from medcot_pipeline.records.rubrics.graded import GraderGate
from medcot_pipeline.records.rubrics.rubric import Grade, Rubric, Ungradable
from medcot_pipeline.settings import JudgeServerSettings
from medcot_pipeline.support.errors import MedcotError

Progress = Callable[[int, int], None]


@dataclasses.dataclass(frozen=True)
class GradingOutcome(CallTotals):
    """Grades of every answer, what says whether the grader can be trusted, and what the calls took.

    `empty` counts the answers of each arm that are empty: they meet no criterion, and the judge was not asked.
    """

    grades: tuple[Grade, ...]
    empty: dict[Arm, int]
    gates: tuple[GraderGate, ...]


def with_rubric(prompts: Sequence[Prompt], rubrics: Sequence[Rubric]) -> list[tuple[Prompt, Rubric]]:
    """The prompts that have a rubric, in their order, with it."""
    by_prompt = {rubric.prompt_id: rubric for rubric in rubrics}
    return [(prompt, by_prompt[prompt.id]) for prompt in prompts if prompt.id in by_prompt]


def grade_answers(
    rubrics: Sequence[tuple[Prompt, Rubric]],
    answers: Sequence[Answer],
    settings: JudgeServerSettings,
    cache: Path,
    progress: Progress,
) -> GradingOutcome:
    """Ask the judge about every answer to a prompt with a rubric, and about the probes.

    The judge sees the text after the reasoning. A call that the endpoint refuses leaves its answer's criteria
    ungradable. Every call that was answered is in `cache` before its place is given to the next: a run that is killed,
    or in which others stay unanswered, pays for none of them twice.

    Args:
        rubrics: prompts with their rubrics.
        answers: of all arms, in any order; those to other prompts are passed over.
        settings: the endpoint; `base_url` must be set.
        cache: JSONL file, created where missing; its folder too.
        progress: told (calls done, calls in all), from this thread.

    Raises:
        MedcotError: no endpoint is set, or calls have no answer.
    """
    if not settings.base_url:
        raise MedcotError("MEDCOT_JUDGE__BASE_URL is not set: there is no judge.", "Set it, or leave grading out.")
    given = _in_order(rubrics, answers)
    calls = [GradeCall(prompt, rubric.criteria, answer.answer) for prompt, rubric, answer in given]
    asked = [call for call in calls if call.answer.strip()]
    probes = grader_gates.probes(rubrics, asked)
    every_call = [*asked, *(probe.call for probe in probes)]
    came = ask_what_is_new(every_call, settings, grading_cache(cache), ask_grader, says_nothing, progress)
    return GradingOutcome(
        grades=tuple(
            each
            for (_, rubric, answer), call in zip(given, calls, strict=True)
            for each in _grades(rubric, answer, came.answered.get(call.key(settings)))
        ),
        empty=dict(Counter(answer.arm for _, _, answer in given if not answer.answer.strip())),
        gates=grader_gates.gates(probes, came.answered, settings),
        **vars(came.totals),
    )


def _in_order(
    rubrics: Sequence[tuple[Prompt, Rubric]], answers: Sequence[Answer]
) -> list[tuple[Prompt, Rubric, Answer]]:
    """The answers to prompts with a rubric, in the order of the prompts."""
    by_prompt: dict[str, list[Answer]] = {}
    for answer in answers:
        by_prompt.setdefault(answer.prompt_id, []).append(answer)
    return [(prompt, rubric, answer) for prompt, rubric in rubrics for answer in by_prompt.get(prompt.id, [])]


def _grades(rubric: Rubric, answer: Answer, grading: Grading | None) -> list[Grade]:
    """One answer's grade by every criterion; without a grading it was refused, or is empty."""
    found = []
    for criterion in rubric.criteria:
        said = grading.said.get(criterion.id) if grading and grading.said else None
        met: bool | None = None
        why: Ungradable = "no grade in the reply" if grading else "call refused"
        if not answer.answer.strip():
            met, why = False, ""
        elif said:
            met, why = grade(said, answer.answer)
        evidence = said.evidence if said and said.met else ""
        found.append(
            Grade(answer.prompt_id, answer.arm, criterion.id, criterion.axis, criterion.points, met, evidence, why)
        )
    return found
