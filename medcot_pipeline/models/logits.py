"""Scores of the vocabulary: the last product of a language model, and by far its widest.

Belongs here: the product, and how many positions are computed at once.
Does not: what is made of the scores (training/steps/loss.py, evaluation/perplexity/packing/likelihood.py).
"""

from typing import Any

CHUNK_BYTES = {"cuda": 512 * 2**20, "cpu": 24 * 2**20}
"""Of the float32 logits that stand in memory together.

On a CPU few positions at once keep it from multiplying fast, and many do not fit its cache; benchmarks/evaluation.py
shows what that is worth.
"""


def chunk_positions(head: Any) -> int:
    """Positions whose logits stand in memory together; `head`: output weights, (vocabulary, size)."""
    return max(1, CHUNK_BYTES[head.device.type] // (4 * int(head.shape[0])))


def output_logits(hidden: Any, head: Any) -> Any:
    """Logits of some positions: float32 (positions, vocabulary).

    A CPU multiplies the long matrix from the left twice as fast; the result is then a transposed view.

    Args:
        hidden: last hidden states, (positions, size).
        head: output weights, (vocabulary, size).
    """
    product = hidden @ head.t() if hidden.is_cuda else (head @ hidden.t()).t()
    return product.float()
