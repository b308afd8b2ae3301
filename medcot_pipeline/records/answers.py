"""What a model wrote for a prompt.

Belongs here: its fields, which rules it passes, and which action it advises.
Does not belong here: writing it, or checking it (evaluation/answers/).
"""

import dataclasses
from collections.abc import Iterable, Sequence

from medcot_pipeline.records.arms import Arm
from medcot_pipeline.records.prompts import Action, Prompt, PromptSet, of_set


@dataclasses.dataclass(frozen=True)
class Answer:
    """What one arm wrote for one prompt.

    `reasoning` is the text before `</think>`, or all of it where the block was never closed (`closed` is False, and
    `answer` empty). `finished` says that the model ended by its end token, not at the token limit.
    `tokens` is None where an endpoint did not count them.
    """

    prompt_id: str
    arm: Arm
    reasoning: str
    answer: str
    closed: bool
    finished: bool
    tokens: int | None


def writing_rate(answers: Sequence[Answer], seconds: float) -> tuple[int | None, float | None]:
    """Tokens of all answers, and tokens per second; None where an endpoint did not count them all.

    Args:
        answers: of one arm; earlier versions kept 0 for what nobody counted.
        seconds: that writing them took.
    """
    counts = [answer.tokens for answer in answers if answer.tokens]
    tokens = sum(counts) if len(counts) == len(answers) else None
    return tokens, tokens / seconds if seconds and tokens is not None else None


@dataclasses.dataclass(frozen=True)
class RulesPassed:
    """Which rules one answer passes, by name of the rule: every format rule, and the constraints of its prompt.

    `strict` looks at the answer as it stands; `loose` takes off the usual wrappings of an answer for a constraint.
    """

    prompt_id: str
    arm: Arm
    strict: dict[str, bool]
    loose: dict[str, bool]


@dataclasses.dataclass(frozen=True)
class AdvisedAction:
    """What one answer to a prompt of the set emergencies advises, beside the reference action of the prompt.

    `advised` is None where no action could be read; an answer that is empty or was cut at the token limit advises none.
    """

    prompt_id: str
    arm: Arm
    reference: Action
    advised: Action | None


def checks_of(prompts: Iterable[Prompt], checks: Iterable[RulesPassed], name: PromptSet) -> list[RulesPassed]:
    """Those over answers to the prompts of one set."""
    of_it = {prompt.id for prompt in of_set(prompts, name)}
    return [each for each in checks if each.prompt_id in of_it]
