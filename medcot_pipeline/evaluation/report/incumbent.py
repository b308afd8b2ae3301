"""What the tuned arm is beside the incumbent, which is the adapter that is promoted.

Every figure has the definition that it has against the base.

Belongs here: the report's section on the incumbent.
Does not belong here: measuring (evaluation/perplexity/measure.py, evaluation/answers/generation.py,
evaluation/judging/judge.py), deciding (release/decision.py).
"""

from collections.abc import Sequence

from medcot_pipeline.evaluation.report.following import pass_rates
from medcot_pipeline.evaluation.statistics.preference import net_preference
from medcot_pipeline.records.answers import RulesPassed
from medcot_pipeline.records.judgement import Judged
from medcot_pipeline.records.perplexity import AgainstIncumbent, IncumbentPerplexity
from medcot_pipeline.records.report.report import IncumbentSection, JudgeUse


def incumbent_section(
    perplexity: IncumbentPerplexity,
    checks: Sequence[RulesPassed],
    judge: Judged | None,
) -> IncumbentSection:
    """The figures of tuned against the incumbent; None where one was not measured.

    Args:
        perplexity: of both adapters.
        checks: which rules the answers pass; those of the incumbent too, where it answered.
        judge: the judge's record over both adapters' answers.
    """
    rates = preference = use = None
    if any(each.arm == "incumbent" for each in checks):
        rates = pass_rates(checks, against="incumbent")
    if judge is not None:
        preference = net_preference(judge.verdicts)
        use = JudgeUse(calls=judge.calls, errors=judge.errors, tokens=judge.tokens)
    measured = AgainstIncumbent(incumbent=perplexity.incumbent, tuned=perplexity.tuned, ratio=perplexity.ratio)
    return IncumbentSection(
        adapter=perplexity.adapter, perplexity=measured, rates=rates, preference=preference, judge=use
    )
