"""Whether the judge can be trusted: probes whose outcome is known, a retest, and the limits on what it does.

Belongs here: which probes are asked, and the gates over probes and verdicts.
Does not: making calls (calls.py), verdicts on the arms (judge.py), agreement with people
(evaluation/statistics/agreement.py).
"""

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence

from medcot_pipeline.evaluation.judging.calls import Call, Ruling, Winner
from medcot_pipeline.records.arms import Arm
from medcot_pipeline.records.judgement import Gate
from medcot_pipeline.records.prompts import Prompt
from medcot_pipeline.settings import JudgeSettings

CANARIES = 10
RETESTS = 20
SHORTEST_TO_CUT = 30
"""Characters below which an answer has no half that is clearly worse."""
GATES: Mapping[str, tuple[float, float, str]] = {
    "flip_rate": (0.0, 0.15, "verdicts that change when the order is swapped"),
    "first_position_share": (0.45, 0.55, "decided calls that the answer shown first won; fair is 50 %"),
    "invalid_rate": (0.0, 0.02, "prompts without a valid verdict"),
    "canary_identical": (0.95, 1.0, "pairs of the same text called a tie"),
    "canary_truncated": (0.95, 1.0, "answers cut to their first third that lose to the whole"),
    "retest": (0.90, 1.0, "calls that give the same verdict when asked again"),
}
"""Lowest and highest value that passes, and what is counted."""
PROBE_GATES = ("canary_identical", "canary_truncated", "retest")


@dataclasses.dataclass(frozen=True)
class Probe:
    """A call whose outcome is known: `expected` wins, or what the ruling of the call `again` said."""

    gate: str
    call: Call
    expected: Winner | None = None
    again: Call | None = None


def probes(pairs: Sequence[tuple[Prompt, Mapping[Arm, str]]], retested: Sequence[Call]) -> list[Probe]:
    """Up to `CANARIES` identical pairs, as many with a copy cut to its first third, and up to `RETESTS` repeats.

    Which prompts are used, and on which side the cut copy stands, follows from hashes of the prompts: the same
    answers give the same probes.

    Args:
        pairs: prompts with both arms' answers.
        retested: calls to be asked again, one a prompt.
    """
    by_hash = sorted(pairs, key=lambda pair: _hash(pair[0].id))
    texts = [(prompt, list(answers.values())[number % 2]) for number, (prompt, answers) in enumerate(by_hash)]
    identical = [Probe("canary_identical", Call(prompt, text, text), "tie") for prompt, text in texts if text.strip()]
    truncated = [
        _truncated(prompt, text, number) for number, (prompt, text) in enumerate(texts) if len(text) >= SHORTEST_TO_CUT
    ]
    again = sorted(retested, key=lambda call: _hash("retest", call.prompt.id))[:RETESTS]
    repeats = [Probe("retest", dataclasses.replace(call, repeat=1), again=call) for call in again]
    return identical[:CANARIES] + truncated[:CANARIES] + repeats


def probe_shares(
    asked: Sequence[Probe], answered: Mapping[str, Ruling], settings: JudgeSettings
) -> dict[str, tuple[int, int]]:
    """By gate: probes that came out as expected, and probes answered. A reply without a verdict is not as expected.

    Args:
        asked: the probes.
        answered: rulings by the key of their call; a probe that failed, or whose original did, is left out.
        settings: the endpoint, which is part of the key.
    """
    found = dict.fromkeys(PROBE_GATES, (0, 0))
    for probe in asked:
        ruling = answered.get(probe.call.key(settings))
        original = answered.get(probe.again.key(settings)) if probe.again else None
        expected = original.winner if original else probe.expected
        if ruling and expected:
            right, n = found[probe.gate]
            found[probe.gate] = (right + (ruling.winner == expected != "none"), n + 1)
    return found


def gates(measured: Mapping[str, tuple[int, int]]) -> tuple[Gate, ...]:
    """Every gate with its share, count and limits; `passed` is None where there was nothing to count.

    Args:
        measured: (counted, of how many) by the name of the gate.
    """
    rows = []
    for name, (low, high, meaning) in GATES.items():
        count, n = measured[name]
        value = count / n if n else None
        passed = None if value is None else low <= value <= high
        rows.append(Gate(gate=name, meaning=meaning, value=value, n=n, low=low, high=high, passed=passed))
    return tuple(rows)


def _truncated(prompt: Prompt, text: str, number: int) -> Probe:
    """A whole answer against its first third, on alternating sides."""
    cut = text[: len(text) // 3]
    return Probe(
        "canary_truncated", *((Call(prompt, cut, text), "B") if number % 2 else (Call(prompt, text, cut), "A"))
    )


def _hash(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
