"""The AI judge: which of two answers is better, asked twice with the order swapped, each call paid for once.

Belongs here: pairing answers, which calls to make, joining two orders to one verdict, what the calls add up to.
Does not: making calls (judge_calls.py), the wording (judge_prompt.py), intervals, or people's verdicts (review.py).
"""

import dataclasses
import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path

from medcot_pipeline.errors import MedcotError
from medcot_pipeline.evaluation.judge_calls import Call, Ruling, RulingCache, Winner, ask_all, endpoint_refuses
from medcot_pipeline.evaluation.judge_prompt import template_sha
from medcot_pipeline.evaluation.records import Answer, Arm, Outcome, Prompt, Verdict
from medcot_pipeline.settings.models import JudgeSettings

Order = tuple[Arm, Arm]
ORDERS: tuple[Order, Order] = (("base", "tuned"), ("tuned", "base"))


@dataclasses.dataclass(frozen=True)
class JudgeOutcome:
    """Verdicts by prompt, and what says whether the judge can be trusted.

    `calls`: `made`, `cached` and `failed` sum to the distinct calls; `invalid` (answered, but with no verdict) and
    `repaired` count among those answered. `tokens` is what all answered calls cost, whichever run paid for them.
    `flips` are prompts whose two orders disagree; of `decided_calls` (A or B won), A won `first_position_wins`.
    """

    verdicts: tuple[Verdict, ...]
    calls: dict[str, int]
    tokens: dict[str, int]
    flips: int
    first_position_wins: int
    decided_calls: int

    @property
    def flip_rate(self) -> float | None:
        """Share of the prompts with two valid rulings whose orders disagree; None where there is no such prompt."""
        judged = sum(verdict.outcome != "invalid" for verdict in self.verdicts)
        return self.flips / judged if judged else None

    @property
    def first_position_share(self) -> float | None:
        """Share of decided calls that the first answer won; 0.5 is fair, None where nothing was decided."""
        return self.first_position_wins / self.decided_calls if self.decided_calls else None


def judge_answers(
    prompts: Sequence[Prompt],
    answers: Sequence[Answer],
    settings: JudgeSettings,
    cache: Path,
    progress: Callable[[int, int], None],
) -> JudgeOutcome:
    """Ask the judge about every prompt that both arms answered, in both orders, and join the two.

    The judge sees answers, never reasoning; an answer that was never closed is judged as the empty text it is. A call
    that fails after its retries makes its prompt `invalid` with the error's class as reason, and is asked again next
    time; every call that was answered is in `cache` before the next begins.

    Args:
        prompts: the frozen prompts; those without both answers get no verdict.
        answers: of both arms, in any order.
        settings: the endpoint; `base_url` must be set.
        cache: JSONL file, created where missing; its folder too.
        progress: told (calls done, calls in all), from this thread.

    Raises:
        MedcotError: no endpoint is set, it refuses every call, or no prompt has two answers.
    """
    if not settings.base_url:
        raise MedcotError("MEDCOT_JUDGE__BASE_URL is not set: there is no judge.", "Set it, or leave judging out.")
    pairs = answer_pairs(prompts, answers)
    asked = {(pair[0].id, order): _call(pair, order, settings.model) for pair in pairs for order in ORDERS}
    distinct = {call.key: call for call in asked.values()}
    store = RulingCache(cache)
    try:
        pending = [call for call in distinct.values() if call.key not in store.rulings]
        cached = len(distinct) - len(pending)
        failures = ask_all(pending, settings, store, lambda done: progress(cached + done, len(distinct)))
    finally:
        store.close()
    if len(failures) == len(distinct):
        raise endpoint_refuses(settings, ", ".join(sorted(set(failures.values()))))
    answered = {key: store.rulings[key] for key in distinct if key not in failures}
    rulings = answered | {key: Ruling(key, "none", error) for key, error in failures.items()}
    both = {pair[0].id: [rulings[asked[pair[0].id, order].key] for order in ORDERS] for pair in pairs}
    counts = {"made": len(pending) - len(failures), "cached": cached, "failed": len(failures)}
    return _outcome(both, list(answered.values()), counts)


def answer_pairs(prompts: Sequence[Prompt], answers: Sequence[Answer]) -> list[tuple[Prompt, dict[Arm, str]]]:
    """Prompts that both arms answered, in their order, with the answers by arm.

    Raises:
        MedcotError: there is no such prompt.
    """
    texts = {(answer.prompt_id, answer.arm): answer.answer for answer in answers}
    pairs: list[tuple[Prompt, dict[Arm, str]]] = [
        (prompt, {"base": texts[prompt.id, "base"], "tuned": texts[prompt.id, "tuned"]})
        for prompt in prompts
        if (prompt.id, "base") in texts and (prompt.id, "tuned") in texts
    ]
    if not pairs:
        raise MedcotError(
            f"No prompt has an answer of both arms ({len(prompts):,} prompts, {len(answers):,} answers).",
            "Answer the same prompts with base and tuned.",
        )
    return pairs


def _call(pair: tuple[Prompt, dict[Arm, str]], order: Order, model: str) -> Call:
    prompt, texts = pair
    first, second = texts[order[0]], texts[order[1]]
    content = [model, template_sha(prompt.language), order, prompt.prompt, texts["base"], texts["tuned"]]
    return Call(hashlib.sha256(json.dumps(content).encode()).hexdigest(), prompt, first, second)


def _outcome(both: dict[str, list[Ruling]], answered: list[Ruling], counts: dict[str, int]) -> JudgeOutcome:
    """Rulings by prompt, in the order of `ORDERS`, and those that were answered, as the outcome."""
    verdicts = tuple(_verdict(prompt_id, rulings) for prompt_id, rulings in both.items())
    winners = [ruling.winner for rulings in both.values() for ruling in rulings]
    return JudgeOutcome(
        verdicts=verdicts,
        calls={
            **counts,
            "invalid": sum(ruling.winner == "none" for ruling in answered),
            "repaired": sum(ruling.repaired for ruling in answered),
        },
        tokens={
            "prompt": sum(ruling.prompt_tokens for ruling in answered),
            "completion": sum(ruling.completion_tokens for ruling in answered),
        },
        flips=sum(verdict.outcome == "inconsistent" for verdict in verdicts),
        first_position_wins=winners.count("A"),
        decided_calls=winners.count("A") + winners.count("B"),
    )


def _verdict(prompt_id: str, rulings: list[Ruling]) -> Verdict:
    """Both rulings as one: invalid where either holds no verdict, inconsistent where they do not agree."""
    broken = sorted({ruling.reason for ruling in rulings if ruling.winner == "none"})
    if broken:
        return Verdict(prompt_id, "invalid", ", ".join(broken))
    by_order = list(zip(rulings, ORDERS, strict=True))
    first, second = (_arm(ruling.winner, order) for ruling, order in by_order)
    reason = " | ".join(f"A={order[0]}, {ruling.winner}: {ruling.reason}" for ruling, order in by_order)
    return Verdict(prompt_id, first if first == second else "inconsistent", reason)


def _arm(winner: Winner, order: Order) -> Outcome:
    return "tie" if winner == "tie" else order[0 if winner == "A" else 1]
