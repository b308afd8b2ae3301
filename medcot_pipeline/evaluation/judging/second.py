"""What a second judge says of the first: how far their verdicts over the same answers agree.

Belongs here: joining two records.
Does not belong here: the coefficients (evaluation/statistics/agreement.py), asking either judge (judge.py).
"""

from medcot_pipeline.evaluation.people.joined import settled
from medcot_pipeline.evaluation.statistics.agreement import agreement
from medcot_pipeline.records.judgement import Judged
from medcot_pipeline.records.report.estimates import JudgesAgreement


def judges_agreement(first: Judged, second: Judged, resamples: int, seed: int) -> JudgesAgreement:
    """How far two judges agree on the prompts on which both gave a valid verdict.

    A verdict that changes with the order is no preference, as a tie is. Judges of one family share their tastes: that
    they agree says less.

    Args:
        first: of judge.json; its outcomes are the rows of the table.
        second: of second.json, over the same answers.
        resamples: bootstrap resamples over prompts.
        seed: the same seed gives the same intervals.

    Returns:
        As `agreement`, with who the judges are; `left_out` counts prompts that one of them gave no valid verdict on.
    """
    others = {verdict.prompt_id: verdict.outcome for verdict in second.verdicts}
    both = [(verdict.outcome, others.get(verdict.prompt_id, "invalid")) for verdict in first.verdicts]
    valid = [(settled(one), settled(other)) for one, other in both if "invalid" not in (one, other)]
    return JudgesAgreement(
        judges=(first.model, second.model),
        families=(first.family, second.family),
        left_out=len(both) - len(valid),
        **dict(agreement(valid, resamples, seed)),
    )
