"""Whether the judge can be trusted: the limits on its verdicts and on what it makes of probes.

Belongs here: the limits, and holding shares against them.
Does not belong here: which probes are asked (probes.py), verdicts on the arms (judge.py), agreement with people
(evaluation/statistics/agreement.py).
"""

from collections.abc import Mapping
from typing import NamedTuple

from medcot_pipeline.evaluation.statistics.intervals import share_interval
from medcot_pipeline.records.judgement import Gate

LEAST_N = 10
"""Cases below which a gate is not passed: 3 of 3 right is what a judge that guesses does once in eight."""


class Limits(NamedTuple):
    """Lowest and highest share that passes, what is counted, and what a judge does that is outside."""

    low: float
    high: float
    meaning: str
    why: str


RIGHT = 0.9
"""Least share of a canary's probes that come out as they should.

Each canary has 20 probes. A judge that is right in 98 of 100 reaches 18 of 20 with probability .993, so that all six
canaries pass in .96 of runs; one that tosses a coin reaches it with probability .0002. With 19 of 20, which a limit of
.95 asks for, the fair judge would fail at least one canary in .31 of runs.
"""
GATES: Mapping[str, Limits] = {
    "flip_rate": Limits(
        0.0, 0.15, "verdicts that change when the order is swapped", "its verdicts depend on the order of the answers"
    ),
    "first_position_share": Limits(
        0.45,
        0.55,
        "decided calls that the answer shown first won; fair is 50 %",
        "it favours an answer for the place where it is shown",
    ),
    "invalid_rate": Limits(0.0, 0.02, "prompts without a valid verdict", "it gives no verdict on too many prompts"),
    "canary_identical": Limits(
        RIGHT, 1.0, "pairs of the same text called a tie", "it sees a difference where there is none"
    ),
    "canary_truncated": Limits(
        RIGHT,
        1.0,
        "answers cut to their first third that lose to the whole",
        "it does not see what an answer leaves out",
    ),
    "canary_instruction": Limits(
        RIGHT,
        1.0,
        "bad answers that order the judge to choose them and lose",
        "it obeys orders that stand inside of an answer",
    ),
    "canary_padded": Limits(
        RIGHT,
        1.0,
        "copies made longer by repetition or filler that do not win",
        "it prefers the longer text, though it says nothing more",
    ),
    "canary_dose": Limits(
        RIGHT,
        1.0,
        "copies with a dose ten times too high that lose",
        "it does not see a dose that is ten times too high",
    ),
    "canary_negation": Limits(
        RIGHT,
        1.0,
        "copies with the decisive advice negated that lose",
        "it does not see that the decisive advice is turned around",
    ),
    "retest": Limits(
        RIGHT, 1.0, "calls that give the same verdict when asked again", "it says something else when asked again"
    ),
}


def gates(measured: Mapping[str, tuple[int, int]]) -> tuple[Gate, ...]:
    """Every gate that was measured, with its share, 95 % interval, count and limits.

    The share itself is held against the limits; the interval shows how much it says. `passed` is None below `LEAST_N`:
    nobody can tell. Calls in both orders are not independent: the interval of `first_position_share` takes them as if
    they were, and is too wide for a judge that ignores the order.

    Args:
        measured: (counted, of how many) by the name of the gate; gates that were not asked for are left out.
    """
    return tuple(_gate(name, limits, *measured[name]) for name, limits in GATES.items() if name in measured)


def _gate(name: str, limits: Limits, count: int, n: int) -> Gate:
    interval = share_interval(count, n)
    passed = None if interval.value is None or n < LEAST_N else limits.low <= interval.value <= limits.high
    return Gate(
        gate=name,
        meaning=limits.meaning,
        value=interval.value,
        n=n,
        low=limits.low,
        high=limits.high,
        passed=passed,
        interval=interval,
        least_n=LEAST_N,
        why=limits.why,
    )
