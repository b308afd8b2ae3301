"""The operations of one decoding step on a CPU, in PyTorch.

A row's result depends on the row alone, to the bit: products have one number of rows whatever is running, attention is
of one row at a time over just its own tokens.

Belongs here: the same functions as in gpu.py.
Does not belong here: their order (forward.py).
"""

from typing import Any

from medcot_pipeline.inference.local.cache import NOBODYS, Cache
from medcot_pipeline.inference.local.forward import rotate
from medcot_pipeline.inference.local.operations.noise import gumbel_noise
from medcot_pipeline.inference.local.rows import POSITION, SEED, STEP, TABLE, TEMPERATURE, TOP_P, floats
from medcot_pipeline.inference.local.weights import DecoderWeights

LIKELIEST = 1024
"""Tokens among which a nucleus is looked for before all are sorted."""


def reading(state: Any, cache: Cache) -> list[tuple[int, int]]:
    """What `attend` needs: first place and tokens of each row, no tokens where nobody is; a row has one block."""
    blocks, positions = state[:, TABLE].tolist(), state[:, POSITION].tolist()
    return [
        (block * cache.block_tokens, 0 if block == NOBODYS else position + 1)
        for block, position in zip(blocks, positions, strict=True)
    ]


def add_and_norm(hidden: Any, change: Any, weight: Any, epsilon: float) -> tuple[Any, Any]:
    """The sum of two [rows, hidden], and its RMSNorm (Zhang and Sennrich 2019); `change` may be None."""
    from torch.nn.functional import rms_norm

    hidden = hidden if change is None else hidden + change
    return hidden, rms_norm(hidden, weight.shape, weight, epsilon)


def rotate_and_store(joined: Any, weights: DecoderWeights, position: Any, places: Any, keys: Any, values: Any) -> Any:
    """Rotate queries and keys, write keys and values to their places; returns queries [rows, heads, head size]."""
    shape = weights.shape
    heads, pairs = shape.heads, shape.key_heads
    joined = joined.view(len(joined), heads + 2 * pairs, shape.head_size)
    turned = rotate(joined[:, : heads + pairs], weights.cos[position][:, None], weights.sin[position][:, None])
    keys[places] = turned[:, heads:]
    values[places] = joined[:, heads + pairs :]
    return turned[:, :heads]


def attend(query: Any, keys: Any, values: Any, rows: list[tuple[int, int]]) -> Any:
    """Attention of one token of each row over its own: [rows, heads, head size] -> [rows, heads x head size].

    A batch of one and heads that share keys are the shape that PyTorch has a fast kernel for.
    """
    import torch
    from torch.nn.functional import scaled_dot_product_attention

    count, heads, size = query.shape
    mixed = torch.zeros(count, heads * size, dtype=query.dtype)
    for row, (start, tokens) in enumerate(rows):
        if tokens:
            own = slice(start, start + tokens)
            mixed[row] = scaled_dot_product_attention(
                query[row][None, :, None],
                keys[None, own].transpose(1, 2),
                values[None, own].transpose(1, 2),
                enable_gqa=heads > keys.shape[1],
            ).flatten()
    return mixed


def gated(both: Any) -> Any:
    """SwiGLU of gate and up side by side (Shazeer 2020)."""
    from torch.nn.functional import silu

    gate, up = both.chunk(2, dim=-1)
    return silu(gate) * up


def choose(logits: Any, state: Any) -> Any:
    """The next token of each row: the likeliest, or one drawn from its nucleus.

    The nucleus holds the likeliest tokens until their probabilities sum to `top_p`, and what is as likely as the last.

    Args:
        logits: [rows, vocabulary].
        state: of rows.py.
    """
    chosen = logits.argmax(dim=-1)
    temperature, top_p = floats(state[:, TEMPERATURE]), floats(state[:, TOP_P])
    drawn = (temperature > 0).nonzero()[:, 0]
    if not len(drawn):
        return chosen
    scaled = logits[drawn].float() / temperature[drawn, None]
    total = scaled.logsumexp(dim=-1, keepdim=True)
    for count in (min(LIKELIEST, scaled.shape[-1]), scaled.shape[-1]):
        best, tokens = scaled.topk(count, dim=-1)
        before = (best - total).exp().cumsum(dim=-1).roll(1, dims=-1)
        before[:, 0] = 0.0
        if count == scaled.shape[-1] or bool((before[:, -1] >= top_p[drawn]).all()):
            break
    inside = before < top_p[drawn, None]
    least = best.masked_fill(~inside, float("inf")).min(dim=-1, keepdim=True).values
    noise = gumbel_noise(state[drawn, SEED], state[drawn, STEP], tokens)
    place = (best + noise).masked_fill(best < least, float("-inf")).argmax(dim=-1, keepdim=True)
    chosen[drawn] = tokens.gather(1, place)[:, 0]
    return chosen
