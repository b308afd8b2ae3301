"""The preference after second looks: what people would say had they looked at every prompt twice.

Belongs here: the estimate out of first looks, second looks at all disputes and at a sample of the agreements.
Does not belong here: who disputes what, and which agreements are shown again (evaluation/people/joined.py).
"""

import dataclasses
from collections.abc import Mapping, Sequence

from medcot_pipeline.evaluation.statistics.preference import SCORES, Part, net_estimate, win_estimate
from medcot_pipeline.records.report.estimates import Adjudicated
from medcot_pipeline.records.verdicts import Outcome


@dataclasses.dataclass(frozen=True)
class TwoLooks:
    """One reviewer's verdicts by prompt, of the prompts that the judge judged too.

    Attributes:
        first: of the first look.
        second: of the second look, at every disputed prompt and at a random sample of the others; empty where nothing
            was disputed.
        disputed: prompts on which the judge differs from the first look.
    """

    first: Mapping[str, Outcome]
    second: Mapping[str, Outcome]
    disputed: frozenset[str]

    @property
    def sample(self) -> list[str]:
        """The agreements that were shown again."""
        return sorted(self.second.keys() - self.disputed)


def adjudicated_preference(reviewers: Sequence[TwoLooks]) -> Adjudicated:
    """The preference by second looks, those at agreements estimated from the sample that was shown again.

    The second look where judge and person differ and the first where they agree would favour whatever the judge
    favours: a person's chance verdicts for the judge's side stay, and the others get another throw. So the agreements
    are corrected by the difference estimator of two-phase sampling (Särndal, Swensson and Wretman 1992, ch. 9). With
    `a` agreements of which `m` were shown again, the net is

        (second looks at disputes + first looks at agreements + a / m * (second - first looks in the sample)) / n,

    whose expectation is the net of second looks at all n prompts, whoever the judge is: 0 where nobody has a
    preference. The parts of single prompts in that sum, the correction's mean given to every agreement, have the
    variance of the whole, and the interval is that of `net_estimate`.

    Args:
        reviewers: those whose second look is complete, or who had nothing to look at again.

    Raises:
        ValueError: somebody looked again at disputes alone, though there were agreements.
    """
    parts: dict[str, list[Part]] = {}
    for each in reviewers:
        for prompt, part in _parts(each).items():
            parts.setdefault(prompt, []).append(part)
    given = list(parts.values())
    n = sum(map(len, given))
    won, lost = (sum(part[side] for each in given for part in each) for side in (0, 1))
    wins, losses = (min(n, max(0, round(count))) for count in (won, lost))
    return Adjudicated(
        n=n,
        prompts=len(given),
        wins=wins,
        ties=max(0, n - wins - losses),
        losses=losses,
        inconsistent=0,
        invalid=0,
        net=net_estimate(given),
        sign_test_p=None,
        win_rate=win_estimate(given),
        disputed=sum(len(each.disputed) for each in reviewers),
        agreed=sum(len(each.first.keys() - each.disputed) for each in reviewers),
        shown_again=sum(len(each.sample) for each in reviewers),
        changed=sum(each.first[prompt] != each.second[prompt] for each in reviewers for prompt in each.sample),
    )


def _parts(looks: TwoLooks) -> dict[str, Part]:
    """What each prompt adds to wins and losses."""
    sample, agreed = looks.sample, looks.first.keys() - looks.disputed
    if looks.disputed and agreed and not sample:
        raise ValueError(f"none of {len(agreed)} agreements was shown again")
    wins, losses = (_of_outcome(looks, sample, len(agreed), score) for score in (1, -1))
    return {prompt: (wins[prompt], losses[prompt]) for prompt in looks.first}


def _of_outcome(looks: TwoLooks, sample: Sequence[str], agreed: int, score: int) -> dict[str, float]:
    """How far each prompt counts as won (score 1) or lost (score -1)."""

    def counts(outcome: Outcome) -> float:
        return float(SCORES[outcome] == score)

    change = {prompt: counts(looks.second[prompt]) - counts(looks.first[prompt]) for prompt in sample}
    mean = sum(change.values()) / len(sample) if sample else 0.0
    found = {}
    for prompt, outcome in looks.first.items():
        if prompt in looks.disputed:
            found[prompt] = counts(looks.second[prompt])
        elif prompt in change:
            found[prompt] = counts(outcome) + mean + agreed / len(sample) * (change[prompt] - mean)
        else:
            found[prompt] = counts(outcome) + mean
    return found
