"""How often the report's 95 % intervals hold the truth: `python -m benchmarks.coverage`.

Belongs here: coverage and mean width of the intervals of preferences and pass rates at few and at many prompts; counted
over every possible outcome where there is one verdict a prompt, simulated with a seed elsewhere. Beside them the
percentile bootstrap, which the report used before.
Does not belong here: the intervals themselves (medcot_pipeline/evaluation/statistics/).
"""

import argparse
import dataclasses
import functools
import json
import statistics
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medcot_pipeline.evaluation.people.joined import disputed_and_agreed, two_looks
from medcot_pipeline.evaluation.people.pack import agreements_to_show
from medcot_pipeline.evaluation.statistics.adjudicated import adjudicated_preference
from medcot_pipeline.evaluation.statistics.agreement import CLASSES
from medcot_pipeline.evaluation.statistics.intervals import pass_rate_intervals
from medcot_pipeline.evaluation.statistics.preference import net_preference
from medcot_pipeline.evaluation.statistics.score_intervals import difference_ends
from medcot_pipeline.records.figures import ByArm, Estimate, PairedCounts
from medcot_pipeline.records.report.estimates import Adjudicated
from medcot_pipeline.records.review import Guesses, HumanReviews, Reviewer, SecondLook
from medcot_pipeline.records.verdicts import Outcome, Verdict

if TYPE_CHECKING:
    from numpy.random import Generator

SIZES = (12, 30, 100)
"""Prompts."""
Shares = tuple[float, float, float]
"""Of base, tie and tuned."""
INDIFFERENT: Shares = (1 / 3, 1 / 3, 1 / 3)
BIASED: Shares = (0.16, 0.22, 0.62)
"""Of a judge that prefers tuned where people do not."""
ALWAYS_TUNED: Shares = (0.0, 0.0, 1.0)
RESAMPLES = 2_000


@dataclasses.dataclass(frozen=True)
class Coverage:
    """Share of the runs whose interval holds the truth, the intervals' mean width, and the mean of the values."""

    holds: float
    width: float
    value: float


def exact(n: int, ties: float, net: float, ends: Callable[[int, int, int], tuple[float, float]]) -> Coverage:
    """One verdict a prompt: over every outcome of n prompts, by its probability.

    Args:
        n: prompts.
        ties: share of ties.
        net: share of wins less that of losses.
        ends: interval of wins, losses and n.
    """
    import numpy as np
    from scipy.stats import multinomial

    cells = [(wins, losses, n - wins - losses) for wins in range(n + 1) for losses in range(n + 1 - wins)]
    shares = [(1 - ties + net) / 2, (1 - ties - net) / 2, ties]
    chance = multinomial.pmf(np.array(cells), n, shares)
    low, high = np.array([ends(wins, losses, n) for wins, losses, _ in cells]).T
    close = 1e-9
    return Coverage(
        holds=float(chance[(low <= net + close) & (net - close <= high)].sum()),
        width=float((chance * (high - low)).sum()),
        value=float(sum(p * (wins - losses) / n for p, (wins, losses, _) in zip(chance, cells, strict=True))),
    )


def percentile_ends(wins: int, losses: int, n: int) -> tuple[float, float]:
    """The percentile bootstrap of the net preference."""
    import numpy as np

    shares = np.array([wins, losses, n - wins - losses]) / n
    drawn = np.random.default_rng(wins * 1_000 + losses).multinomial(n, shares, size=RESAMPLES)
    low, high = np.quantile((drawn[:, 0] - drawn[:, 1]) / n, [0.025, 0.975])
    return float(low), float(high)


def simulated(found: Iterator[Estimate], truth: float) -> Coverage:
    """Over runs, each an estimate."""
    values = [
        (each.value, each.low, each.high)
        for each in found
        if each.value is not None and each.low is not None and each.high is not None
    ]
    return Coverage(
        holds=statistics.fmean(low <= truth <= high for _, low, high in values),
        width=statistics.fmean(high - low for _, low, high in values),
        value=statistics.fmean(value for value, _, _ in values),
    )


def by_chance(chance: "Generator", n: int, shares: Shares) -> list[Outcome]:
    """Outcomes of n prompts."""
    return [CLASSES[place] for place in chance.choice(3, size=n, p=shares).tolist()]


def repeated(chance: "Generator", first: Sequence[Outcome], repeats: float, shares: Shares) -> list[Outcome]:
    """Outcomes that are those given before in a share of the cases, and else by chance."""
    again, other = (chance.random(len(first)) < repeats).tolist(), by_chance(chance, len(first), shares)
    return [old if same else new for old, same, new in zip(first, again, other, strict=True)]


def verdicts(outcomes: Iterable[Outcome]) -> list[Verdict]:
    """One on each prompt."""
    return [Verdict(f"p{number}", outcome) for number, outcome in enumerate(outcomes)]


def reviewed(
    seed: int, runs: int, n: int, reviewers: int, together: float, shares: Shares = INDIFFERENT
) -> Iterator[Estimate]:
    """The net preference of several reviewers, who follow one opinion of each prompt in a share of the cases."""
    import numpy as np

    chance = np.random.default_rng(seed)
    for _ in range(runs):
        opinion = by_chance(chance, n, shares)
        given = [verdicts(repeated(chance, opinion, together, shares)) for _ in range(reviewers)]
        yield net_preference([verdict for each in given for verdict in each]).net


def looked_again(
    seed: int, runs: int, n: int, judge: Shares, agrees: float = 0.0, repeats: float = 0.0
) -> Iterator[tuple[Estimate, Adjudicated]]:
    """First look and adjudicated preference of a reviewer without a preference, beside a judge.

    Args:
        seed: of everything that is by chance.
        runs: reviews.
        n: prompts.
        judge: shares of the judge's verdicts where it does not follow the reviewer's.
        agrees: share of the prompts on which it does.
        repeats: share of the second looks that repeat the first.
    """
    import numpy as np

    chance = np.random.default_rng(seed)
    nothing = ByArm[tuple[str, ...]](base=(), tuned=())
    for run in range(runs):
        seen = by_chance(chance, n, INDIFFERENT)
        judged = {each.prompt_id: each for each in verdicts(repeated(chance, seen, agrees, judge))}
        first, again = tuple(verdicts(seen)), verdicts(repeated(chance, seen, repeats, INDIFFERENT))
        reviewer = Reviewer(
            reviewer="R",
            qualification="",
            verdicts=first,
            missing=0,
            repeated=(),
            guesses=Guesses(),
            minutes=0.0,
            second_look=None,
        )
        differing, same = disputed_and_agreed(reviewer, judged)
        shown = differing.union(agreements_to_show(same, len(differing), str(run))) if differing else set[str]()
        given = tuple(each for each in again if each.prompt_id in shown)
        look = SecondLook(pack="", items=len(given), verdicts=given)
        human = HumanReviews(
            status="reviewed", reviewers=(reviewer.model_copy(update={"second_look": look}),), unsafe=nothing
        )
        looks, _ = two_looks(human, judged)
        yield net_preference(first).net, adjudicated_preference(looks)


def rates(seed: int, runs: int, n: int, base: float, tuned: float, both: float) -> Iterator[Estimate]:
    """What tuning adds to a pass rate, relatively; `both` is the share that both arms pass."""
    import numpy as np

    shares = [both, base - both, tuned - both, 1 - base - tuned + both]
    for passed, base_only, tuned_only, _ in np.random.default_rng(seed).multinomial(n, shares, size=runs):
        counts = PairedCounts(
            n=n,
            base_pass=int(passed + base_only),
            tuned_pass=int(passed + tuned_only),
            base_only=int(base_only),
            tuned_only=int(tuned_only),
            mcnemar_p=None,
        )
        yield pass_rate_intervals(counts).relative


def measure(n: int, runs: int) -> dict[str, Coverage]:
    """Every kind of interval at n prompts; the truth is no preference unless the name says otherwise."""
    beside: Mapping[str, Any] = {
        "adjudicated, biased judge": {"judge": BIASED},
        "adjudicated, judge always for tuned": {"judge": ALWAYS_TUNED},
        "adjudicated, 97 of 100 agreed on": {"judge": INDIFFERENT, "agrees": 0.95},
        "adjudicated, reviewer who repeats 7 of 10": {"judge": BIASED, "agrees": 0.5, "repeats": 0.7},
    }
    ends = functools.cache(difference_ends)
    found = {
        "net, a third ties": exact(n, 1 / 3, 0.0, ends),
        "net, no ties": exact(n, 0.0, 0.0, ends),
        "net +40 points, 30 % ties": exact(n, 0.3, 0.4, ends),
        "net +80 points, no ties": exact(n, 0.0, 0.8, ends),
        "net, nine of ten ties": exact(n, 0.9, 0.0, ends),
        "percentile bootstrap, a third ties": exact(n, 1 / 3, 0.0, percentile_ends),
        "percentile bootstrap, net +80 points": exact(n, 0.0, 0.8, percentile_ends),
        "percentile bootstrap, nine of ten ties": exact(n, 0.9, 0.0, percentile_ends),
        "net, two reviewers": simulated(reviewed(1, runs, n, 2, 0.7), 0.0),
        "net, three reviewers": simulated(reviewed(2, runs, n, 3, 0.7), 0.0),
        "relative uplift, 50 % to 70 %": simulated(rates(3, runs, n, 0.5, 0.7, 0.4), 0.4),
    }
    for name, judge in beside.items():
        found[name] = simulated((each.net for _, each in looked_again(4, runs, n, **judge)), 0.0)
    return found


def main() -> None:
    """Print the table and write the numbers as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="prompts")
    parser.add_argument("--runs", type=int, default=2_000, help="simulated runs of each kind")
    parser.add_argument("--json", type=Path, default=Path("coverage_benchmark.json"), help="where the numbers go")
    args = parser.parse_args()
    found = {n: measure(n, args.runs) for n in args.sizes}
    heads = "".join(f"{f'n = {n}':>22}" for n in args.sizes)
    print(f"{'coverage of 95 % intervals (mean width)':45}{heads}")
    for name in found[args.sizes[0]]:
        cells = [f"{100 * found[n][name].holds:.1f} % ({found[n][name].width:.2f})" for n in args.sizes]
        print(f"{name:45}" + "".join(f"{cell:>22}" for cell in cells))
    numbers = {n: {name: dataclasses.asdict(each) for name, each in kinds.items()} for n, kinds in found.items()}
    args.json.write_text(json.dumps({"runs": args.runs, "prompts": numbers}, indent=1), encoding="utf-8")
    print(f"\nnumbers in {args.json}")


if __name__ == "__main__":
    main()
