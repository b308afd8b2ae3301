"""Calls whose outcome is known: which are asked of a judge beside the pairs that it judges.

Belongs here: making them, and counting those that came out as they should.
Does not belong here: the texts (probe_texts.py), the limits (gates.py), making calls (calls.py).
"""

import dataclasses
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from string import Template

from medcot_pipeline.evaluation.judging.calls import Call, Ruling
from medcot_pipeline.evaluation.judging.probe_texts import (
    AGAIN,
    FILLER,
    ORDERS,
    UNHELPFUL,
    ReferenceText,
    reference_texts,
)
from medcot_pipeline.evaluation.judging.reading import Winner
from medcot_pipeline.records.arms import Arm
from medcot_pipeline.records.prompts import Prompt
from medcot_pipeline.settings import JudgeServerSettings

CANARIES = 10
"""Of each kind: in each language over the reference texts, and as many over the answers that are judged."""
RETESTS = 20
PROBES = (
    "canary_identical",
    "canary_truncated",
    "canary_instruction",
    "canary_padded",
    "canary_dose",
    "canary_negation",
    "retest",
)


@dataclasses.dataclass(frozen=True)
class Probe:
    """A call with the rulings that are right: one of `right`, or what the ruling of the call `again` said."""

    gate: str
    call: Call
    right: tuple[Winner, ...] = ()
    again: Call | None = None


def probes(pairs: Sequence[tuple[Prompt, Mapping[Arm, str]]], retested: Sequence[Call]) -> list[Probe]:
    """All probes of a judge.

    Over the answers that are judged: up to `CANARIES` pairs of one text, and up to `RETESTS` repeats. Over the
    reference texts, which are the same for all answers and therefore paid for once: `CANARIES` of each kind in each
    language, half as many of pairs of one text. Which texts are used, and on which side the worse one stands, follows
    from hashes: the same answers give the same probes.

    Args:
        pairs: prompts with both arms' answers.
        retested: calls to be asked again, one a prompt.
    """
    by_hash = sorted(pairs, key=lambda pair: _hash(pair[0].id))
    texts = [(prompt, list(answers.values())[number % 2]) for number, (prompt, answers) in enumerate(by_hash)]
    identical = [_identical(prompt, text) for prompt, text in texts if text.strip()]
    again = sorted(retested, key=lambda call: _hash("retest", call.prompt.id))[:RETESTS]
    repeats = [Probe("retest", dataclasses.replace(call, repeat=1), again=call) for call in again]
    return [*identical[:CANARIES], *_over_references(), *repeats]


def probe_shares(
    asked: Sequence[Probe], answered: Mapping[str, Ruling], settings: JudgeServerSettings
) -> dict[str, tuple[int, int]]:
    """By gate: probes that came out as expected, and probes answered. A reply without a verdict is not as expected.

    Args:
        asked: the probes.
        answered: rulings by the key of their call; a probe that failed, or whose original did, is left out.
        settings: the endpoint, which is part of the key.
    """
    found = dict.fromkeys(PROBES, (0, 0))
    for probe in asked:
        ruling = answered.get(probe.call.key(settings))
        original = answered.get(probe.again.key(settings)) if probe.again else None
        expected = (original.winner,) if original else probe.right
        if ruling and expected:
            right, n = found[probe.gate]
            found[probe.gate] = (right + (ruling.winner in expected and ruling.winner != "none"), n + 1)
    return found


def _over_references() -> Iterable[Probe]:
    texts = reference_texts()
    dose, negation = ([text for text in texts if text.kind == kind] for kind in ("dose", "negation"))
    yield from (_identical(text.as_prompt(), text.answer) for text in _some("canary_identical", texts, CANARIES // 2))
    chosen = {
        "canary_truncated": _some("canary_truncated", texts),
        "canary_instruction": _some("canary_instruction", texts),
        "canary_padded": _some("canary_padded", texts),
        "canary_dose": _some("canary_dose", dose),
        "canary_negation": _some("canary_negation", negation),
    }
    for gate, of_gate in chosen.items():
        yield from (_against_worse(gate, text, number) for number, text in enumerate(of_gate))


def _some(gate: str, texts: Sequence[ReferenceText], count: int = CANARIES) -> list[ReferenceText]:
    """So many of each language, in an order of their own for each gate."""
    by_hash = sorted(texts, key=lambda text: _hash(gate, text.id))
    languages = sorted({text.language for text in texts})
    return list(chain.from_iterable([text for text in by_hash if text.language == each][:count] for each in languages))


def _identical(prompt: Prompt, text: str) -> Probe:
    return Probe("canary_identical", Call(prompt, text, text), ("tie",))


def _against_worse(gate: str, text: ReferenceText, number: int) -> Probe:
    """The right answer against a worse one, on alternating sides. A padded copy says the same: it may tie."""
    swapped = number % 2 == 1
    worse = _worse(gate, text, number, side="A" if swapped else "B")
    pair = (worse, text.answer) if swapped else (text.answer, worse)
    better: Winner = "B" if swapped else "A"
    return Probe(gate, Call(text.as_prompt(), *pair), (better, "tie") if gate == "canary_padded" else (better,))


def _worse(gate: str, text: ReferenceText, number: int, side: str) -> str:
    third, half = text.answer[: len(text.answer) // 3], (number // 2) % 2
    match gate:
        case "canary_truncated":
            return third
        case "canary_instruction":
            orders = ORDERS[text.language]
            order = Template(orders[number % len(orders)]).substitute(side=side)
            return f"{UNHELPFUL[text.language] if half else third}\n\n{order}"
        case "canary_padded":
            return _padded(text, number) if half else f"{text.answer}\n\n{AGAIN[text.language]}{text.answer}"
        case _:
            return text.made_wrong()


def _padded(text: ReferenceText, number: int) -> str:
    """The answer with filler behind it that is at least as long."""
    filler, padding = FILLER[text.language], list[str]()
    while sum(map(len, padding)) < len(text.answer):
        padding.append(filler[(number + len(padding)) % len(filler)])
    return f"{text.answer}\n\n{('' if text.language == 'zh' else ' ').join(padding)}"


def _hash(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
