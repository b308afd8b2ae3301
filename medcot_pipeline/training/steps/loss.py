"""The loss of plain models: cross-entropy over a large vocabulary, a few positions at a time.

Logits of the 7B's 152,064 tokens would take 0.6 MB a position. Here they exist for one chunk of positions only, and
since the gradient of the loss with respect to them is known at once (softmax less the label's one; so do it Hsu et al.
2024, Liger Kernel), it is multiplied back to the hidden states in the same pass: no layer is recomputed. Positions
without a label are left out.

Belongs here: this loss; Unsloth's models bring one of their own.
Does not belong here: perplexity, which wants every token's value (evaluation/perplexity/packing/likelihood.py).
"""

from typing import Any

import torch

from medcot_pipeline.chat.encode import IGNORED_LABEL
from medcot_pipeline.models.products import chunk_positions, output_logits


def completion_loss(hidden: Any, head: Any, labels: Any, divisor: Any) -> Any:
    """Negative log-likelihood of the labelled tokens, divided by `divisor`.

    Args:
        hidden: last hidden states, (rows, width, size); position t predicts label t + 1.
        head: output weights, (vocabulary, size); frozen.
        labels: int64 (rows, width); `IGNORED_LABEL` where nothing is predicted.
        divisor: float32 scalar.

    Returns:
        float32 scalar, differentiable with respect to `hidden`.
    """
    targets = labels[:, 1:].reshape(-1)
    wanted = targets != IGNORED_LABEL
    positions = hidden[:, :-1].reshape(-1, hidden.shape[-1])[wanted]
    loss = _ChunkedCrossEntropy.apply(positions, head, targets[wanted])  # type: ignore[no-untyped-call]
    return loss / divisor


class _ChunkedCrossEntropy(torch.autograd.Function):
    """Sum of cross-entropies: hidden states (n, size), weights (vocabulary, size), targets (n)."""

    @staticmethod
    def forward(ctx: Any, hidden: Any, head: Any, targets: Any) -> Any:
        rows = chunk_positions(head)
        gradient = torch.empty_like(hidden) if ctx.needs_input_grad[0] else None
        total = torch.zeros((), dtype=torch.float32, device=hidden.device)
        for start in range(0, len(targets), rows):
            chunk, target = hidden[start : start + rows], targets[start : start + rows, None]
            logits = output_logits(chunk, head)
            normalizer = torch.logsumexp(logits, dim=-1, keepdim=True)
            total += (normalizer - logits.gather(1, target)).sum()
            if gradient is not None:
                error = logits.sub_(normalizer).exp_()
                error.scatter_add_(1, target, torch.full_like(target, -1, dtype=error.dtype))
                gradient[start : start + rows] = error.to(head.dtype) @ head
        ctx.save_for_backward(gradient)
        return total

    @staticmethod
    def backward(ctx: Any, outer: Any) -> tuple[Any, None, None]:
        (gradient,) = ctx.saved_tensors
        return gradient * outer.to(gradient.dtype), None, None
