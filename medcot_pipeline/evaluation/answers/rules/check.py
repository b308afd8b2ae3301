"""Which rules an answer passes, strictly and loosely.

Belongs here: holding one answer against every rule that applies to it; the wrappings of an answer.
Does not belong here: the rules (formats.py, constraints.py), both arms side by side (paired.py).
"""

import dataclasses
import re

from medcot_pipeline.evaluation.answers.rules.constraints import CONSTRAINT_RULES, refuse_wrong_constraints
from medcot_pipeline.evaluation.answers.rules.formats import FORMAT_RULES
from medcot_pipeline.evaluation.answers.rules.lists import is_item
from medcot_pipeline.records.answers import Answer
from medcot_pipeline.records.prompts import Prompt

_FENCED = re.compile(r"^(```+|~~~+)[^\n`]*\n(.*?)\n?^\1", re.DOTALL | re.MULTILINE)
_BOXED = re.compile(r"\\boxed\{([^{}]*)\}")


def check_answer(prompt: Prompt, answer: Answer, *, loose: bool = False) -> dict[str, bool]:
    """Which rules the answer passes: every format rule, and the constraints that the prompt carries.

    A rule that the prompt carries more than once passes when it passes each time. An answer that is empty, or was cut
    at the token limit, fails every constraint: saying nothing, or not coming to an end, is no way to keep a limit.

    Args:
        prompt: the prompt.
        answer: an answer to it.
        loose: a constraint passes where the answer passes without one of its wrappings (`unwrapped`).

    Raises:
        MedcotError: the prompt's language has no rule, a constraint names no known rule, or its value has a wrong kind.
    """
    refuse_wrong_constraints([prompt])
    outcome = {name: rule(prompt, answer) for name, rule in FORMAT_RULES.items()}
    whole = outcome["answer_present"] and outcome["finished"]
    variants = unwrapped(answer) if loose else [answer]
    for constraint in prompt.constraints:
        name, value = constraint["rule"], constraint["value"]
        passed = whole and any(CONSTRAINT_RULES[name](prompt, variant, value) for variant in variants)
        outcome[name] = outcome.get(name, True) and passed
    return outcome


def unwrapped(answer: Answer) -> list[Answer]:
    """The answer as it is; without its first line, its last line or both; all without asterisks; its fenced parts.

    An item of a list is no wrapping: without its last item a list of four would be one of three.
    """
    lines = answer.answer.strip().split("\n")
    first, last = (0 if is_item(lines[0]) else 1), (len(lines) if is_item(lines[-1]) else -1)
    parts = (lines[first:], lines[:last], lines[first:last])
    texts = [answer.answer, *("\n".join(part) for part in parts)]
    texts += [text.replace("*", "") for text in texts] + _BOXED.findall(answer.answer)
    texts += [block for _, block in _FENCED.findall(answer.answer)]
    return [dataclasses.replace(answer, answer=text) for text in dict.fromkeys(texts) if text.strip()]
