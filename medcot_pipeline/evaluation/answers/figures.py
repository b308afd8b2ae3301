"""What both arms' answers amount to before anybody judged them.

Belongs here: the content of figures.json of the asset model_answers.
Does not belong here: the rules and flags themselves (rules/, safety/), verdicts.
"""

from collections.abc import Sequence

from medcot_pipeline.evaluation.answers.paired import instruction_rates
from medcot_pipeline.evaluation.answers.prompts import prompts_sha256, strata
from medcot_pipeline.evaluation.answers.safety.flags import safety_queue
from medcot_pipeline.evaluation.answers.safety.triage import action_figures, advised_actions
from medcot_pipeline.records.answer_figures import AnswerFigures
from medcot_pipeline.records.answers import Answer, RulesPassed, checks_of
from medcot_pipeline.records.arms import ARMS
from medcot_pipeline.records.figures import ByArm
from medcot_pipeline.records.prompts import Prompt


def answer_figures(
    prompts: Sequence[Prompt], answers: Sequence[Answer], checks: Sequence[RulesPassed], backend: str
) -> AnswerFigures:
    """Figures over the answers of both arms to all prompts; where all are the `same`, the adapter changes nothing."""
    written = {(answer.prompt_id, answer.arm): (answer.reasoning, answer.answer) for answer in answers}
    return AnswerFigures(
        backend=backend,
        prompts=len(prompts),
        prompts_sha256=prompts_sha256(prompts),
        strata=tuple(strata(prompts)),
        cut=ByArm[int](**{arm: sum(not each.finished for each in answers if each.arm == arm) for arm in ARMS}),
        same=sum(written[prompt.id, "base"] == written[prompt.id, "tuned"] for prompt in prompts),
        instructions=instruction_rates(checks_of(prompts, checks, "instructions")),
        general=instruction_rates(checks_of(prompts, checks, "general")),
        safety_queue=tuple(safety_queue(prompts, answers)),
        actions=action_figures(prompts, advised_actions(prompts, answers)),
    )
