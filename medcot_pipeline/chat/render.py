"""Text of a row as the model sees it.

Belongs here: the format of an output, what of it the prompt already holds, and taking a written text apart again.
Does not belong here: tokens (encode.py).
"""

import dataclasses
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase
else:
    PreTrainedTokenizerBase = Any

THINK_OPEN = "<think>\n"
THINK_CLOSE = "\n</think>\n\n"
PLACEHOLDER = "…"
"""Stands for the question where the generation prompt of a model is described."""


def render_output(reasoning: str, answer: str) -> str:
    r"""A training row's output: `<think>\n{reasoning}\n</think>\n\n{answer}`, both stripped of outer white space."""
    return f"{THINK_OPEN}{reasoning.strip()}{THINK_CLOSE}{answer.strip()}"


def render_prompt(tokenizer: PreTrainedTokenizerBase, question: str) -> str:
    """The tokenizer's own generation prompt for one question, without a system prompt.

    Only the prompt comes from the chat template: the stock R1 template deletes the reasoning of a whole conversation.
    """
    messages = [{"role": "user", "content": question}]
    return str(tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True))


def opens_thinking(prompt: str) -> bool:
    """Whether a rendered prompt ends in `<think>`, so that what is written behind it begins within the reasoning."""
    return prompt.endswith(THINK_OPEN)


def render_completion(prompt: str, reasoning: str, answer: str) -> tuple[str, int]:
    """What follows a prompt, and the character at which the answer begins in it.

    A prompt that already ends in `<think>` holds the opening; elsewhere the opening is part of the completion.
    """
    output = render_output(reasoning, answer)
    completion = output.removeprefix(THINK_OPEN) if opens_thinking(prompt) else output
    return completion, len(completion) - len(answer.strip())


@dataclasses.dataclass(frozen=True)
class Written:
    """What a model wrote after the prompt: reasoning, answer, and whether the thinking block was closed once."""

    reasoning: str
    answer: str
    closed: bool


def split_written(text: str, *, opened_by_prompt: bool = True) -> Written:
    """Take a generated completion apart.

    Text without `</think>` is all reasoning and has no answer, unless neither the prompt nor the text opened a
    thinking block: then it is all answer, and `closed` is False all the same.
    """
    if not opened_by_prompt and "think>" not in text:
        return Written("", text.strip(), closed=False)
    body = text.strip().removeprefix("<think>").lstrip("\n")
    reasoning, mark, answer = body.partition("</think>")
    closed = bool(mark) and "</think>" not in answer and "<think>" not in reasoning + answer
    return Written(reasoning.strip(), answer.strip(), closed)
