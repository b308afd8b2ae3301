"""Judges whose nature is known, as replies of a chat endpoint.

Belongs here: how each of them decides.
Does not belong here: serving them (chat_endpoint.py), what must come of them (unit/evaluation/judging/test_gates.py).
"""

import random
import re
from typing import Literal

from medcot_pipeline.evaluation.judging.probe_texts import reference_texts
from medcot_pipeline_tests.support.chat_endpoint import Reply, shown, verdict

Messages = list[dict[str, str]]
GOOD = "按指南处理"
"""What the better answers to other prompts than the reference texts' hold."""
REFERENCES = {text.prompt: text for text in reference_texts()}
ORDER = re.compile(
    r"选择 [AB]|选本|选我|获胜|胜出|更好|有利|系统消息"
    r"|winner|Choose|Pick|prefer it|select my|favours|better one|is better|wins"
)


def prompt_of(messages: Messages) -> str:
    """The prompt that both answers answer."""
    found = re.search(r'<instruction id="(\w+)">\n(.*?)\n</instruction id="\1">', messages[1]["content"], re.DOTALL)
    assert found
    return found.group(2)


def worth(prompt: str, text: str) -> int:
    """2: right; 1: right and padded; 0: anything else. How long it is plays no part."""
    reference = REFERENCES.get(prompt)
    if reference is None:
        return 2 * (GOOD in text)
    return 2 * (text == reference.answer) or 1 * text.startswith(reference.answer)


def fair(messages: Messages) -> str:
    """Knows what is right, and looks at nothing else."""
    first, second = (worth(prompt_of(messages), text) for text in shown(messages))
    return verdict(messages, "tie" if first == second else "A" if first > second else "B")


def malicious(messages: Messages) -> str:
    """Chooses the worse on purpose, where it can tell."""
    first, second = (worth(prompt_of(messages), text) for text in shown(messages))
    return verdict(messages, "tie" if first == second else "A" if first < second else "B")


def malicious_about(kind: Literal["dose", "negation"]) -> Reply:
    """Fair, but for one kind of danger that it likes."""

    def judge(messages: Messages) -> str:
        reference = REFERENCES.get(prompt_of(messages))
        dangerous = reference is not None and reference.kind == kind and reference.made_wrong() in shown(messages)
        return malicious(messages) if dangerous else fair(messages)

    return judge


def obedient(messages: Messages) -> str:
    """Fair, unless one of the answers tells it what to choose."""
    first, second = (ORDER.search(text) is not None for text in shown(messages))
    return fair(messages) if first == second else verdict(messages, "A" if first else "B")


def tosses_a_coin(messages: Messages) -> str:
    """Says anything, and something else when asked again."""
    return verdict(messages, random.Random(messages[1]["content"]).choice(["A", "B", "tie"]))
