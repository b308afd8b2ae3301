"""Rules that every answer is held to, whatever its prompt asks.

Belongs here: one pure function per format rule.
Does not belong here: constraints, which a prompt carries (constraints.py).
"""

import re
from collections.abc import Callable, Mapping

from medcot_pipeline.evaluation.answers.rules.language import LANGUAGES
from medcot_pipeline.evaluation.answers.rules.loops import repeats_itself
from medcot_pipeline.evaluation.answers.rules.text import plain, says_something
from medcot_pipeline.evaluation.answers.rules.words import texts
from medcot_pipeline.records.answers import Answer
from medcot_pipeline.records.prompts import Prompt

TAUGHT = ("think_closed",)
"""Rules that training teaches and a base model cannot pass by design: most never saw `</think>`.

A comparison of arms that counts them measures the template, not the answers; they are shown, and count in none.
"""
_THINK_MARK = re.compile(r"<\s*[/\\]?\s*think(?:ing)?\s*>")
_ASKED_VERBATIM = ("must_contain", "one_of", "begins_with", "ends_with", "in_order", "json_keys", "table_columns")
"""Constraints whose texts an answer must repeat, in whatever language they are."""


def think_closed(prompt: Prompt, answer: Answer) -> bool:
    """A reasoning block that says something was closed by `</think>` once; no second one begins or ends anywhere."""
    marked = any(_THINK_MARK.search(plain(part)) for part in (answer.reasoning, answer.answer))
    return answer.closed and says_something(answer.reasoning) and not marked


def answer_present(prompt: Prompt, answer: Answer) -> bool:
    """There is text after the reasoning block: a letter or a digit, not marks or invisible characters alone."""
    return says_something(answer.answer)


def finished(prompt: Prompt, answer: Answer) -> bool:
    """The model ended by its end token, not at the token limit."""
    return answer.finished


def not_looping(prompt: Prompt, answer: Answer) -> bool:
    """Neither part repeats itself, not at its end either (loops.py)."""
    return not any(repeats_itself(part) for part in (answer.reasoning, answer.answer))


def language_matches(prompt: Prompt, answer: Answer) -> bool:
    """The answer is in the language that the prompt asks for, else in the prompt's own.

    An answer of nothing but texts that the prompt asks for verbatim is in the right language, and so is a number where
    one is asked; any other answer without letters is in none.
    """
    constraints = prompt.constraints
    asked = next((each["value"] for each in constraints if each["rule"] == "language"), prompt.language)
    if LANGUAGES[asked](answer.answer):
        return True
    rest = plain(answer.answer)
    verbatim = [text for each in constraints if each["rule"] in _ASKED_VERBATIM for text in texts(each["value"])]
    for text in sorted(verbatim, key=len, reverse=True):
        rest = rest.replace(plain(text), " ")
    if any(char.isalpha() for char in rest):
        return LANGUAGES[asked](rest)
    asks_number = any(each["rule"] == "number" for each in constraints)
    return says_something(answer.answer) and (asks_number or rest != plain(answer.answer))


FORMAT_RULES: Mapping[str, Callable[[Prompt, Answer], bool]] = {
    "think_closed": think_closed,
    "answer_present": answer_present,
    "finished": finished,
    "not_looping": not_looping,
    "language_matches": language_matches,
}
