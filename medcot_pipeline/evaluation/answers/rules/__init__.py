"""Rules that a program can check about an answer: its form, and what the prompt explicitly asked for.

A constraint in a prompt is `{"rule": NAME, "value": VALUE}`, with NAME out of `CONSTRAINT_RULES`. It is checked twice:
strictly, on the answer as it stands, and loosely, where one of the usual wrappings around an answer may be taken off
(Zhou et al. 2023, IFEval).

Belongs here: one pure function per rule, and which rules an answer passes.
Does not belong here: both arms side by side (paired.py), whether an answer is right or better (evaluation/judging/,
evaluation/people/), reading files.
"""

from collections.abc import Mapping

from medcot_pipeline.evaluation.answers.rules.check import check_answer, unwrapped
from medcot_pipeline.evaluation.answers.rules.constraints import (
    CONSTRAINT_MEANINGS,
    CONSTRAINT_RULES,
    refuse_wrong_constraints,
)
from medcot_pipeline.evaluation.answers.rules.formats import FORMAT_RULES, TAUGHT

MEANINGS: Mapping[str, str] = {
    "think_closed": "reasoning block closed once",
    "answer_present": "text after the reasoning",
    "finished": "ended by itself, not at the token limit",
    "not_looping": "does not repeat itself",
    "language_matches": "answer in the asked language",
    **CONSTRAINT_MEANINGS,
}

__all__ = [
    "CONSTRAINT_RULES",
    "FORMAT_RULES",
    "MEANINGS",
    "TAUGHT",
    "check_answer",
    "refuse_wrong_constraints",
    "unwrapped",
]
