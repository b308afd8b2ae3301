"""The AI judge: which of two answers is better, asked twice with the order swapped, each call paid for once.

Belongs here: pairing answers, which calls to make, joining two orders to one verdict, what the calls add up to.
Does not belong here: making calls (asked.py, calls.py), the wording (wording.py), whether to trust it (probes.py,
gates.py), intervals, or people's verdicts (evaluation/people/review_file.py).
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from medcot_pipeline.evaluation.judging import gates as judge_gates
from medcot_pipeline.evaluation.judging import probes as judge_probes
from medcot_pipeline.evaluation.judging.asked import CallTotals, ask_what_is_new
from medcot_pipeline.evaluation.judging.calls import Call, Ruling, ask_judge, ruling_cache, says_nothing
from medcot_pipeline.evaluation.judging.reading import Winner
from medcot_pipeline.records.answers import Answer
from medcot_pipeline.records.arms import Arm, Other
from medcot_pipeline.records.judgement import Gate, Judged
from medcot_pipeline.records.prompts import Prompt
from medcot_pipeline.records.verdicts import Outcome, Verdict
from medcot_pipeline.settings import JudgeServerSettings
from medcot_pipeline.support.errors import MedcotError

Order = tuple[Arm, Arm]
"""Whose answer is shown first, and whose second."""
FAMILIES: Mapping[str, tuple[str, ...]] = {
    "openai": ("gpt", "o1", "o3", "o4"),
    "qwen": ("qwen", "qwq"),
    "deepseek": ("deepseek",),
    "glm": ("glm",),
    "llama": ("llama",),
    "mistral": ("mistral", "mixtral"),
    "gemini": ("gemini", "gemma"),
    "claude": ("claude",),
}
"""How a model's name begins, or what stands behind a slash or dash in it."""


@dataclasses.dataclass(frozen=True)
class JudgeOutcome(CallTotals):
    """Verdicts by prompt, what says whether the judge can be trusted, and what the calls took."""

    verdicts: tuple[Verdict, ...]
    gates: tuple[Gate, ...]

    def record(self, settings: JudgeServerSettings) -> Judged:
        """The content of judge.json: the same whether a run was interrupted or not."""
        return Judged(
            model=settings.model,
            family=judge_family(settings),
            verdicts=self.verdicts,
            gates=self.gates,
            **self.recorded(),
        )


def judge_family(settings: JudgeServerSettings) -> str:
    """Who made the judge: as set, else by the model's name, else `unknown`."""
    words = settings.model.lower().replace("/", "-").replace("_", "-").split("-")
    by_name = (family for family, marks in FAMILIES.items() if any(word.startswith(marks) for word in words))
    return settings.family or next(by_name, "unknown")


def judge_answers(
    prompts: Sequence[Prompt],
    answers: Sequence[Answer],
    settings: JudgeServerSettings,
    cache: Path,
    progress: Callable[[int, int], None],
    *,
    against: Other = "base",
    probing: bool = True,
) -> JudgeOutcome:
    """Ask the judge about every prompt that both arms answered, in both orders, and join the two; ask the probes too.

    The judge sees answers, never reasoning; an answer that was never closed is judged as the empty text it is. A call
    that the endpoint refuses makes its prompt `invalid` with the status as reason. Every call that was answered is in
    `cache` before its place is given to the next: a run that is killed, or in which others stay unanswered, pays for
    none of them twice.

    Args:
        prompts: the frozen prompts; those without both answers get no verdict.
        answers: of both arms, in any order.
        settings: the endpoint; `base_url` must be set.
        cache: JSONL file, created where missing; its folder too.
        progress: told (calls done, calls in all), from this thread.
        against: the arm that tuned is compared with.
        probing: whether the probes are asked; a judge that was probed over other answers need not be again.

    Raises:
        MedcotError: no endpoint is set, calls have no answer, or no prompt has two answers.
    """
    if not settings.base_url:
        raise MedcotError(
            f"{settings.variables}__BASE_URL is not set: there is no judge.", "Set it, or leave judging out."
        )
    pairs, orders = answer_pairs(prompts, answers, against), _orders(against)
    asked = {
        prompt.id: [Call(prompt, texts[first], texts[second]) for first, second in orders] for prompt, texts in pairs
    }
    probes = judge_probes.probes(pairs, [calls[0] for calls in asked.values()]) if probing else []
    every_call = [*(call for calls in asked.values() for call in calls), *(probe.call for probe in probes)]
    came = ask_what_is_new(every_call, settings, ruling_cache(cache), ask_judge, says_nothing, progress)
    refused = {key: Ruling(key=key, winner="none", reason=error) for key, error in came.refused.items()}
    rulings = came.answered | refused
    both = {prompt_id: [rulings[call.key(settings)] for call in calls] for prompt_id, calls in asked.items()}
    verdicts = tuple(_verdict(prompt_id, given, orders) for prompt_id, given in both.items())
    winners = [ruling.winner for given in both.values() for ruling in given]
    probed = judge_probes.probe_shares(probes, came.answered, settings) if probing else {}
    return JudgeOutcome(
        verdicts=verdicts,
        gates=judge_gates.gates(_shares(verdicts, winners) | probed),
        **vars(came.totals),
    )


def _orders(against: Other) -> tuple[Order, Order]:
    return (against, "tuned"), ("tuned", against)


def answer_pairs(
    prompts: Sequence[Prompt], answers: Sequence[Answer], against: Other = "base"
) -> list[tuple[Prompt, dict[Arm, str]]]:
    """Prompts that both arms answered, in their order, with the answers by arm.

    Raises:
        MedcotError: there is no such prompt.
    """
    texts = {(answer.prompt_id, answer.arm): answer.answer for answer in answers}
    pairs: list[tuple[Prompt, dict[Arm, str]]] = [
        (prompt, {against: texts[prompt.id, against], "tuned": texts[prompt.id, "tuned"]})
        for prompt in prompts
        if (prompt.id, against) in texts and (prompt.id, "tuned") in texts
    ]
    if not pairs:
        raise MedcotError(
            f"No prompt has an answer of both arms ({len(prompts):,} prompts, {len(answers):,} answers).",
            f"Answer the same prompts with {against} and tuned.",
        )
    return pairs


def _shares(verdicts: Sequence[Verdict], winners: Sequence[Winner]) -> dict[str, tuple[int, int]]:
    """Counts of the gates over the verdicts, and over the winners of their calls."""
    outcomes = [verdict.outcome for verdict in verdicts]
    invalid, first, second = outcomes.count("invalid"), winners.count("A"), winners.count("B")
    return {
        "flip_rate": (outcomes.count("inconsistent"), len(outcomes) - invalid),
        "first_position_share": (first, first + second),
        "invalid_rate": (invalid, len(outcomes)),
    }


def _verdict(prompt_id: str, rulings: list[Ruling], orders: tuple[Order, Order]) -> Verdict:
    """Both rulings as one: invalid where either holds no verdict, inconsistent where they do not agree."""
    broken = sorted({ruling.reason for ruling in rulings if ruling.winner == "none"})
    if broken:
        return Verdict(prompt_id, "invalid", ", ".join(broken))
    by_order = list(zip(rulings, orders, strict=True))
    first, second = (_arm(ruling.winner, order) for ruling, order in by_order)
    reason = " | ".join(
        f"{order[0]} first: {_arm(ruling.winner, order)}. {ruling.reason}" for ruling, order in by_order
    )
    return Verdict(prompt_id, first if first == second else "inconsistent", reason)


def _arm(winner: Winner, order: Order) -> Outcome:
    return "tie" if winner == "tie" else order[0 if winner == "A" else 1]
