"""Products with weights, as fast as the device can: a CPU wants the longer matrix on the left.

Belongs here: the product, its widths, logits by it, and how many positions' logits are computed at once.
Does not belong here: what is made of logits (training/steps/loss.py, evaluation/perplexity/packing/likelihood.py).
"""

from typing import Any

CHUNK_BYTES = {"cuda": 512 * 2**20, "cpu": 24 * 2**20}
"""Of the float32 logits that stand in memory together.

On a CPU few positions at once keep it from multiplying fast, and many do not fit its cache.
"""
LONGER = 32
"""So many times the rows of `x` a weight has where a CPU multiplies it from the left: 2 to 3 times as fast."""


def round_up(count: int, multiple: int) -> int:
    """The next multiple: odd widths are multiplied at little more than half the speed of aligned ones on an H100."""
    return -(-count // multiple) * multiple


def product(x: Any, weight: Any, bias: Any = None) -> Any:
    """X W^T + b: (rows, outputs).

    Args:
        x: (rows, inputs).
        weight: (outputs, inputs).
        bias: (outputs); none adds nothing.
    """
    import torch

    if x.is_cuda or len(weight) < LONGER * len(x):
        return torch.nn.functional.linear(x, weight, bias)
    made = (weight @ x.t()).t().contiguous()
    return made if bias is None else made.add_(bias)


def chunk_positions(head: Any) -> int:
    """Positions whose logits stand in memory together; `head`: output weights, (vocabulary, size)."""
    return max(1, CHUNK_BYTES[head.device.type] // (4 * int(head.shape[0])))


def output_logits(hidden: Any, head: Any) -> Any:
    """Logits of some positions: float32 (positions, vocabulary); a view that is transposed on a CPU.

    Args:
        hidden: last hidden states, (positions, size).
        head: output weights, (vocabulary, size).
    """
    return (hidden @ head.t() if hidden.is_cuda else (head @ hidden.t()).t()).float()
