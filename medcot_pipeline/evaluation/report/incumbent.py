"""What the tuned arm is beside the incumbent, which is the adapter that is promoted.

Every figure has the definition that it has against the base: the incumbent's lines stand in the place of the base's.

Belongs here: the report's section on the incumbent.
Does not: measuring (evaluation/perplexity/measure.py, evaluation/answers/generation.py, evaluation/judging/judge.py),
deciding (release/decision.py).
"""

import dataclasses
from collections.abc import Sequence

from medcot_pipeline.evaluation.answers.paired import instruction_rates
from medcot_pipeline.evaluation.report.following import pass_rates
from medcot_pipeline.evaluation.statistics.intervals import net_preference
from medcot_pipeline.records.answers import Answer
from medcot_pipeline.records.judgement import Judged
from medcot_pipeline.records.perplexity import AgainstIncumbent, IncumbentPerplexity
from medcot_pipeline.records.prompts import Prompt
from medcot_pipeline.records.report.report import IncumbentSection, JudgeUse
from medcot_pipeline.settings import ReportSettings


def in_place_of_base(answers: Sequence[Answer], incumbent: Sequence[Answer]) -> list[Answer]:
    """The tuned arm's answers, and the incumbent's as those of the base."""
    tuned = [answer for answer in answers if answer.arm == "tuned"]
    return [*(dataclasses.replace(answer, arm="base") for answer in incumbent), *tuned]


def incumbent_section(
    perplexity: IncumbentPerplexity,
    prompts: Sequence[Prompt],
    pair: Sequence[Answer] | None,
    judge: Judged | None,
    settings: ReportSettings,
) -> IncumbentSection:
    """The figures of tuned against the incumbent; None where one was not measured.

    Args:
        perplexity: of both adapters.
        prompts: the frozen prompts.
        pair: both adapters' answers (`in_place_of_base`).
        judge: the judge's record over that pair.
        settings: resamples and seed of the intervals.
    """
    rates = preference = use = None
    if pair is not None:
        rates = pass_rates(prompts, pair, instruction_rates(prompts, pair), settings)
    if judge is not None:
        preference = net_preference(judge.verdicts, settings.bootstrap_resamples, settings.seed)
        use = JudgeUse(calls=judge.calls, errors=judge.errors, tokens=judge.tokens)
    measured = AgainstIncumbent(incumbent=perplexity.incumbent, tuned=perplexity.tuned, ratio=perplexity.ratio)
    return IncumbentSection(
        adapter=perplexity.adapter, perplexity=measured, rates=rates, preference=preference, judge=use
    )
