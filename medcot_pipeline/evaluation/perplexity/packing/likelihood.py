"""Negative log-likelihood of rows under one model, token by token, many rows in one pass.

Rows stand one behind another in a line, without padding; each attends to itself alone, and positions start again with
it, so that what comes of a row does not depend on its neighbours but for rounding.

Belongs here: filling lines, a line through the model, what is done where memory runs out.
Does not belong here: attention within rows (training/steps/attention.py), how long a line may be (plan.py).
"""

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from medcot_pipeline.chat.encode import IGNORED_LABEL
from medcot_pipeline.models.arms import without_adapter
from medcot_pipeline.models.products import chunk_positions, output_logits, round_up
from medcot_pipeline.support.errors import MedcotError
from medcot_pipeline.support.progress import Say
from medcot_pipeline.training.rows import TrainingRow
from medcot_pipeline.training.steps.attention import Packing, packed, use_in_transformers
from medcot_pipeline.training.steps.micro_batch import PACKED_WIDTH_MULTIPLE, MicroBatch, tensors


@dataclasses.dataclass
class LineBudget:
    """How long a line may be.

    Attributes:
        tokens: most of a line; a single row may be longer. 0: every row alone, by the model's own attention.
        say: told when memory ran out and the budget was halved.
        lowered: whether that has happened.
    """

    tokens: int
    say: Say
    lowered: bool = False

    def halve(self, line: Sequence[int]) -> None:
        """Half of what a line had that did not fit.

        Args:
            line: tokens of its rows.

        Raises:
            MedcotError: it was a single row.
        """
        if len(line) == 1:
            raise MedcotError(
                f"out of GPU memory with a single row of {line[0]:,} tokens.",
                "Free the GPU, raise MEDCOT_INFERENCE__MAX_GPU_MEMORY_GB, or lower MEDCOT_PERPLEXITY__MAX_ROW_TOKENS.",
            )
        self.tokens, self.lowered = sum(line) // 2, True
        self.say(
            f"out of GPU memory: lines of {self.tokens:,} tokens from here on; a lower "
            "MEDCOT_INFERENCE__MAX_GPU_MEMORY_GB plans for them from the start"
        )


def fill_lines(lengths: Sequence[int], budget: int) -> list[list[int]]:
    """Numbers of the rows of each line: longest first, each into the first line that has room (Johnson 1973).

    Args:
        lengths: tokens of each row.
        budget: most tokens of a line; a longer row has a line of its own.
    """
    lines: list[list[int]] = []
    room: list[int] = []
    for number in sorted(range(len(lengths)), key=lambda number: -lengths[number]):
        place = next((line for line, left in enumerate(room) if left >= lengths[number]), None)
        if place is None:
            lines.append([])
            room.append(budget)
            place = len(lines) - 1
        lines[place].append(number)
        room[place] -= lengths[number]
    return lines


def token_nll(
    model: Any, rows: Sequence[Sequence[int]], budget: LineBudget, measured: Callable[[int], None] = lambda tokens: None
) -> list[Any]:
    """Negative log-likelihood of every token but the first: a float64 tensor [tokens - 1] per row, in nats.

    Where memory runs out, rows that are measured stay so and the others go on in shorter lines. The fullest lines come
    first, so that this is met at once.

    Args:
        model: of transformers, or one of PEFT around it.
        rows: token ids, at least one each.
        budget: of a line; halved in place where memory runs out.
        measured: told the tokens of each line that is done.

    Raises:
        MedcotError: a single row does not fit the memory.
    """
    found: dict[int, Any] = {}
    attention = _attention_within_rows if budget.tokens else contextlib.nullcontext
    with attention(without_adapter(model)):
        while left := [number for number in range(len(rows)) if number not in found]:
            for line in fill_lines([len(rows[number]) for number in left], budget.tokens):
                own = [rows[left[place]] for place in line]
                losses = _unless_memory_runs_out(model, own, alone=not budget.tokens)
                if losses is None:
                    budget.halve([len(row) for row in own])
                    break
                found |= zip((left[place] for place in line), losses, strict=True)
                measured(sum(map(len, own)))
    return [found[number] for number in range(len(rows))]


@contextlib.contextmanager
def _attention_within_rows(decoder: Any) -> Iterator[None]:
    before = decoder.config._attn_implementation
    decoder.set_attn_implementation(use_in_transformers())
    try:
        yield
    finally:
        decoder.set_attn_implementation(before)


def _unless_memory_runs_out(model: Any, rows: Sequence[Sequence[int]], *, alone: bool) -> list[Any] | None:
    import torch

    try:
        return _line_nll(model, rows, alone=alone)
    except torch.OutOfMemoryError:
        pass  # what the pass holds is let go with the exception
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return None


def _line_nll(model: Any, rows: Sequence[Sequence[int]], *, alone: bool) -> list[Any]:
    """As of `token_nll`, of one line; `alone`: it is one row, and the model's own attention sees all of it."""
    import torch

    split: Any = torch.Tensor.split
    decoder, lengths = without_adapter(model), [len(row) for row in rows]
    width = round_up(sum(lengths), PACKED_WIDTH_MULTIPLE if model.device.type == "cuda" else 1)
    line = MicroBatch([TrainingRow(list(row), list(row)) for row in rows], width, packed=True)
    inputs = {name: tensor.to(model.device) for name, tensor in tensors(line, pad_token_id=0).items()}
    wanted, boundaries = inputs.pop("labels"), inputs.pop("boundaries")
    with torch.no_grad(), packed(None if alone else Packing(boundaries, max(lengths))):
        hidden = decoder.model(**inputs, use_cache=False).last_hidden_state[0, :-1]
        scored = wanted[0, 1:] != IGNORED_LABEL
        states, targets, head = hidden[scored], wanted[0, 1:][scored], decoder.lm_head.weight
        chunk = chunk_positions(head)
        pieces = [
            _cross_entropy(output_logits(some, head), own)
            for some, own in zip(split(states, chunk), split(targets, chunk), strict=True)
        ]
    return list(split(torch.cat(pieces).double().cpu(), [length - 1 for length in lengths]))


def _cross_entropy(logits: Any, targets: Any) -> Any:
    """-log softmax(logits)[target], in place: a second copy of the logits would take longer than the model."""
    wanted = logits.gather(1, targets[:, None])[:, 0]
    largest = logits.amax(1, keepdim=True)
    return logits.sub_(largest).exp_().sum(1).log_() + largest[:, 0] - wanted
