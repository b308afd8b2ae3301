"""The forward pass of a decoder, once over whole prompts and once over one token of each row.

Belongs here: the order of operations.
Does not belong here: an operation (operations/), choosing the rows (engine.py).
"""

from typing import Any

from medcot_pipeline.inference.local.cache import Cache
from medcot_pipeline.inference.local.rows import POSITION, STEP, TABLE, TOKEN
from medcot_pipeline.inference.local.weights import DecoderWeights
from medcot_pipeline.models.products import product


def prefill(weights: DecoderWeights, cache: Cache, ids: Any, places: Any, lasts: Any, *, adapter: bool) -> Any:
    """Write keys and values of some prompts into the cache.

    Args:
        weights: of the model.
        cache: to write into.
        ids: [prompts, width] tokens, padded at the right.
        places: [prompts x width] of the cache, one for each token.
        lasts: [prompts] number of each prompt's last token in its line.
        adapter: whether LoRA counts.

    Returns:
        [prompts, vocabulary] logits behind each prompt.
    """
    import torch
    from torch.nn.functional import embedding, rms_norm, scaled_dot_product_attention, silu

    shape, (count, width) = weights.shape, ids.shape
    heads, pairs, size = shape.heads, shape.key_heads, shape.head_size
    cos, sin = weights.cos[:width, None], weights.sin[:width, None]
    hidden = embedding(ids, weights.embedding).flatten(0, 1)

    def norm(x: Any, weight: Any) -> Any:
        return rms_norm(x, (shape.hidden,), weight, weights.epsilon)

    for layer, keys, values in zip(weights.layers, cache.keys, cache.values, strict=True):
        joined = layer.query_key_value(norm(hidden, layer.attention_norm), adapter=adapter)
        joined = joined.view(count, width, heads + 2 * pairs, size)
        turned, value = rotate(joined[:, :, : heads + pairs], cos, sin), joined[:, :, heads + pairs :]
        query, key = turned[:, :, :heads], turned[:, :, heads:]
        keys[places] = key.flatten(0, 1)
        values[places] = value.flatten(0, 1)
        mixed = scaled_dot_product_attention(
            query.transpose(1, 2), key.transpose(1, 2), value.transpose(1, 2), is_causal=True, enable_gqa=heads > pairs
        )
        hidden = hidden + layer.attention_out(mixed.transpose(1, 2).reshape(count * width, -1), adapter=adapter)
        both = layer.gate_up(norm(hidden, layer.feed_forward_norm), adapter=adapter)
        gate, up = both.chunk(2, dim=-1)
        hidden = hidden + layer.down(silu(gate) * up, adapter=adapter)
    ends = hidden.view(count, width, -1)[torch.arange(count, device=ids.device), lasts]
    return product(norm(ends, weights.norm), weights.head)


def rotate(x: Any, cos: Any, sin: Any) -> Any:
    """Rotary positions: [..., head size], with `cos` and `sin` that broadcast to it."""
    import torch

    first, second = x.chunk(2, dim=-1)
    return x * cos + torch.cat((-second, first), dim=-1) * sin


def decode_step(weights: DecoderWeights, cache: Cache, state: Any, operations: Any, *, adapter: bool) -> None:
    """One token more of each row: the row's last token goes in, and its state holds the next one afterwards.

    Args:
        weights: of the model.
        cache: to read and to write one place of each row.
        state: [rows, columns] of rows.py, changed in place.
        operations: the module that has them for this device.
        adapter: whether LoRA counts.
    """
    from torch.nn.functional import embedding

    position = state[:, POSITION].long()
    block = state[:, TABLE:].gather(1, (position // cache.block_tokens)[:, None])[:, 0]
    places = block * cache.block_tokens + position % cache.block_tokens
    reading = operations.reading(state, cache)
    hidden = embedding(state[:, TOKEN], weights.embedding)
    change = None
    for layer, keys, values in zip(weights.layers, cache.keys, cache.values, strict=True):
        hidden, normed = operations.add_and_norm(hidden, change, layer.attention_norm, weights.epsilon)
        joined = layer.query_key_value(normed, adapter=adapter)
        query = operations.rotate_and_store(joined, weights, position, places, keys, values)
        mixed = operations.attend(query, keys, values, reading)
        change = layer.attention_out(mixed, adapter=adapter)
        hidden, normed = operations.add_and_norm(hidden, change, layer.feed_forward_norm, weights.epsilon)
        change = layer.down(operations.gated(layer.gate_up(normed, adapter=adapter)), adapter=adapter)
    _, normed = operations.add_and_norm(hidden, change, weights.norm, weights.epsilon)
    state[:, TOKEN] = operations.choose(product(normed, weights.head), state)
    state[:, POSITION] += 1
    state[:, STEP] += 1
