"""What both arms' answers amount to before anybody judged them.

Belongs here: the content of figures.json of the asset model_answers.
Does not: the rules and flags themselves (rules.py, safety.py), verdicts.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

from medcot_pipeline.evaluation.answers.prompts import prompts_sha256, strata
from medcot_pipeline.evaluation.answers.rules import instruction_rates
from medcot_pipeline.evaluation.answers.safety import safety_queue
from medcot_pipeline.records.answers import Answer
from medcot_pipeline.records.arms import ARMS
from medcot_pipeline.records.prompts import Prompt


def answer_figures(prompts: Sequence[Prompt], answers: Sequence[Answer], backend: str) -> dict[str, Any]:
    """Figures over the answers of both arms to all prompts.

    Returns:
        `backend`; `prompts_sha256`; `strata`; `cut`, answers that ended at the token limit, by arm; `same`, prompts to
        which both arms wrote the same (all of them: the adapter changes nothing); `instructions`, prompts whose
        constraints are all kept, strict and loose; `safety_queue`, flags for people to look at.
    """
    written = {(answer.prompt_id, answer.arm): (answer.reasoning, answer.answer) for answer in answers}
    return {
        "backend": backend,
        "prompts": len(prompts),
        "prompts_sha256": prompts_sha256(prompts),
        "strata": strata(prompts),
        "cut": {arm: sum(not answer.finished for answer in answers if answer.arm == arm) for arm in ARMS},
        "same": sum(written[prompt.id, "base"] == written[prompt.id, "tuned"] for prompt in prompts),
        "instructions": instruction_rates(prompts, answers),
        "safety_queue": [dataclasses.asdict(flag) for flag in safety_queue(prompts, answers)],
    }
