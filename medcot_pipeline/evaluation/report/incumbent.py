"""What the tuned arm is beside the incumbent, which is the adapter that is promoted.

Every figure has the definition that it has against the base: the incumbent's lines stand in the place of the base's.

Belongs here: the report's section on the incumbent.
Does not: measuring (evaluation/perplexity/measure.py, evaluation/answers/generation.py, evaluation/judging/judge.py),
deciding (release/decision.py).
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from medcot_pipeline.evaluation.answers.rules import instruction_rates
from medcot_pipeline.evaluation.report.following import pass_rates
from medcot_pipeline.evaluation.statistics.intervals import net_preference
from medcot_pipeline.records.answers import Answer
from medcot_pipeline.records.prompts import Prompt
from medcot_pipeline.records.verdicts import Verdict
from medcot_pipeline.settings import ReportSettings


def in_place_of_base(answers: Sequence[Answer], incumbent: Sequence[Answer]) -> list[Answer]:
    """The tuned arm's answers, and the incumbent's as those of the base."""
    tuned = [answer for answer in answers if answer.arm == "tuned"]
    return [*(dataclasses.replace(answer, arm="base") for answer in incumbent), *tuned]


def incumbent_section(
    perplexity: Mapping[str, Any],
    prompts: Sequence[Prompt],
    pair: Sequence[Answer] | None,
    judge: Mapping[str, Any] | None,
    settings: ReportSettings,
) -> dict[str, Any]:
    """The figures of tuned against the incumbent; None where one was not measured.

    Args:
        perplexity: `adapter`, the incumbent's fingerprint; `incumbent`, `tuned`, `ratio`.
        prompts: the frozen prompts.
        pair: both adapters' answers (`in_place_of_base`).
        judge: the judge's record over that pair.
        settings: resamples and seed of the intervals.
    """
    rates = preference = cost = None
    if pair is not None:
        rates = pass_rates(prompts, pair, instruction_rates(prompts, pair), settings)
    if judge is not None:
        verdicts = [Verdict(**each) for each in judge["verdicts"]]
        preference = net_preference(verdicts, settings.bootstrap_resamples, settings.seed)
        cost = {name: judge[name] for name in ("calls", "errors", "tokens")}
    measured = {name: perplexity[name] for name in ("incumbent", "tuned", "ratio")}
    return {
        "adapter": perplexity["adapter"],
        "perplexity": measured,
        "rates": rates,
        "preference": preference,
        "judge": cost,
    }
