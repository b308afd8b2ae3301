"""Tokens of a row, by segment.

Belongs here: encoding prompts and rows, labels by position, and what must hold of a tokenizer.
Does not belong here: batches or padding.
"""

import dataclasses
from typing import TYPE_CHECKING, Any

from medcot_pipeline.chat.render import THINK_CLOSE, THINK_OPEN, render_completion, render_prompt
from medcot_pipeline.support.errors import MedcotError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase
else:
    PreTrainedTokenizerBase = Any

IGNORED_LABEL = -100
"""The label that PyTorch's cross-entropy leaves out."""


@dataclasses.dataclass(frozen=True)
class EncodedRow:
    """Token ids of one row; `reasoning` ends with the closing of the thinking block, `answer` with the end token.

    Attributes:
        reasoning_text: of each token of `reasoning`, whether it holds a character of the reasoning itself. The others
            are marks: the opening and closing of the thinking block with their line ends, however they are cut.
        answer_text: the same of `answer`, of which the end token is a mark.
    """

    prompt: list[int]
    reasoning: list[int]
    answer: list[int]
    reasoning_text: list[bool]
    answer_text: list[bool]

    @property
    def input_ids(self) -> list[int]:
        """All ids, in order."""
        return self.prompt + self.reasoning + self.answer

    @property
    def labels(self) -> list[int]:
        """Ids to predict: `IGNORED_LABEL` over the prompt, by position (the pad token may be the end token)."""
        return [IGNORED_LABEL] * len(self.prompt) + self.reasoning + self.answer


def encode_prompt(tokenizer: PreTrainedTokenizerBase, question: str) -> list[int]:
    """Ids of the generation prompt, as training, perplexity and generation all use it."""
    return list(tokenizer.encode(render_prompt(tokenizer, question), add_special_tokens=False))


def encode_row(tokenizer: PreTrainedTokenizerBase, question: str, reasoning: str, answer: str) -> EncodedRow:
    """Ids of a row: prompt and completion are tokenised apart, as a model that generates sees them.

    Raises:
        MedcotError: the tokenizer has no end token.
    """
    if tokenizer.eos_token_id is None:
        raise MedcotError("The base model's tokenizer has no end token.", "Set eos_token in its tokenizer_config.json.")
    prompt = render_prompt(tokenizer, question)
    completion, answer_start = render_completion(prompt, reasoning, answer)
    encoded = tokenizer(completion, add_special_tokens=False, return_offsets_mapping=True)
    ids: list[int] = encoded["input_ids"]
    offsets: list[tuple[int, int]] = encoded["offset_mapping"]
    boundary = next((at for at, (_, end) in enumerate(offsets) if end > answer_start), len(ids))
    reasoning_end = answer_start - len(THINK_CLOSE)
    reasoning_start = reasoning_end - len(reasoning.strip())
    return EncodedRow(
        prompt=list(tokenizer.encode(prompt, add_special_tokens=False)),
        reasoning=ids[:boundary],
        answer=[*ids[boundary:], tokenizer.eos_token_id],
        reasoning_text=[_overlaps(each, reasoning_start, reasoning_end) for each in offsets[:boundary]],
        answer_text=[_overlaps(each, answer_start, len(completion)) for each in offsets[boundary:]] + [False],
    )


def _overlaps(offsets: tuple[int, int], start: int, end: int) -> bool:
    """Whether a token holds one of the characters from `start` to before `end`.

    Some tokenizers leave white space out of their offsets, so that a token of it has none: it ends where it stands.
    """
    first, last = min(offsets[0], offsets[1] - 1), offsets[1]
    return max(first, start) < min(last, end)


PROBE_QUESTION = "患者男，45岁，体温 38.5℃，WBC 15.6×10⁹/L。最可能的诊断是什么？ (BP 120/80 mmHg)"
PROBE_REASONING = "嗯，先看体温。\n\nThen the white cells: 15.6×10⁹/L  偏高。"
PROBE_ANSWER = "最可能是急性阑尾炎。 See a surgeon."


def tokenizer_problems(tokenizer: PreTrainedTokenizerBase) -> list[str]:
    """What is wrong with a tokenizer for this format; empty where nothing is.

    Looks at: the end token, one begin token at most, text that comes back whole (Chinese, exponents, double spaces),
    and, for the R1-distill family, that the template's prompt is the exact one and the thinking marks are one token.
    """
    if tokenizer.eos_token_id is None:
        return ["there is no end token: set eos_token in tokenizer_config.json"]
    if not tokenizer.chat_template:
        return ["there is no chat template: set chat_template in tokenizer_config.json"]
    problems = []
    row = encode_row(tokenizer, PROBE_QUESTION, PROBE_REASONING, PROBE_ANSWER)
    prompt = render_prompt(tokenizer, PROBE_QUESTION)
    completion, _ = render_completion(prompt, PROBE_REASONING, PROBE_ANSWER)
    if tokenizer.decode(row.reasoning + row.answer[:-1], skip_special_tokens=False) != completion:
        problems.append("a completion changes when it is turned into tokens and back")
    if PROBE_QUESTION not in tokenizer.decode(row.prompt):
        problems.append("a question changes when its prompt is turned into tokens and back")
    if (row.reasoning + row.answer).count(tokenizer.eos_token_id) != 1:
        problems.append("a completion holds more than one end token")
    if tokenizer.bos_token_id is not None and row.prompt[:2] == [tokenizer.bos_token_id] * 2:
        problems.append("a prompt begins with more than one begin token")
    if "<｜Assistant｜>" in prompt:
        exact = f"{tokenizer.bos_token}<｜User｜>{PROBE_QUESTION}<｜Assistant｜>{THINK_OPEN}"
        if prompt != exact:
            problems.append("the R1 template's generation prompt is not the expected one, which ends in <think>")
        for mark in ("<think>", "</think>"):
            if len(tokenizer.encode(mark, add_special_tokens=False)) != 1:
                problems.append(f"{mark} is not a single token")
    return problems
