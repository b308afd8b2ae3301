"""Attention over packed rows: every row sees itself alone.

Belongs here: the variable-length kernel, and giving it to transformers and to Unsloth.
Does not belong here: how rows are packed (batches.py).
"""

import contextlib
import dataclasses
import functools
import inspect
import itertools
from collections.abc import Iterator
from typing import Any

VARLEN = "medcot_varlen"


def varlen_attention(
    query: Any, key: Any, value: Any, boundaries: Any, longest: int, scale: float | None = None
) -> Any:
    """Causal attention within segments.

    Args:
        query: (tokens, heads, head size); bfloat16 or float16 on a GPU.
        key: (tokens, key heads, head size); heads is a multiple of key heads.
        value: as `key`.
        boundaries: int32 (segments + 1): where segments begin and end; the first is 0, the last is tokens. Segments
            may be empty.
        longest: tokens of the longest segment, or more.
        scale: of the products; 1/sqrt(head size) if not given.

    Returns:
        (tokens, heads, head size).
    """
    import torch

    if not query.is_cuda:
        return _segment_by_segment(query, key, value, boundaries, scale)
    if _takes_grouped_heads():
        from torch.nn.attention.varlen import varlen_attn

        return varlen_attn(
            query, key, value, boundaries, boundaries, longest, longest,
            scale=scale, window_size=(-1, 0), enable_gqa=query.shape[1] != key.shape[1],
        )  # fmt: skip
    # PyTorch 2.11: its function takes no grouped heads, the kernel below it does.
    return torch.ops.aten._flash_attention_forward(
        query, key, value, boundaries, boundaries, longest, longest, 0.0, True, False, scale=scale
    )[0]


@functools.cache
def _takes_grouped_heads() -> bool:
    from torch.nn.attention.varlen import varlen_attn

    return "enable_gqa" in inspect.signature(varlen_attn).parameters


def _segment_by_segment(query: Any, key: Any, value: Any, boundaries: Any, scale: float | None) -> Any:
    """The same by ordinary attention: what a CPU computes, and what the kernel is held against."""
    import torch
    from torch.nn.functional import scaled_dot_product_attention

    edges = boundaries.tolist()
    parts = []
    for start, end in itertools.pairwise(edges):
        if start == end:
            continue
        rows, keys, values = (tensor[start:end].transpose(0, 1).unsqueeze(0) for tensor in (query, key, value))
        grouped = query.shape[1] != key.shape[1]
        part = scaled_dot_product_attention(rows, keys, values, is_causal=True, scale=scale, enable_gqa=grouped)
        parts.append(part[0].transpose(0, 1))
    return torch.cat(parts)


@dataclasses.dataclass(frozen=True)
class Packing:
    """Where the rows of the line that is being computed begin and end.

    Attributes:
        boundaries: as `varlen_attention` takes them.
        longest: tokens of the longest segment, or more.
    """

    boundaries: Any
    longest: int


_current: list[Packing] = []
"""Of the forward pass that runs: the models hand their attention neither."""


@contextlib.contextmanager
def packed(packing: Packing | None) -> Iterator[None]:
    """Within it, attention of the prepared models stays within segments; none leaves it as it is.

    Checkpointed layers are computed again in the backward pass, which therefore belongs within it.
    """
    if packing is None:
        yield
        return
    _current.append(packing)
    try:
        yield
    finally:
        _current.pop()


def use_in_transformers() -> str:
    """Register the kernel with transformers; a model with this `attn_implementation` computes within `packed`."""
    from transformers import AttentionInterface

    AttentionInterface.register(VARLEN, _transformers_attention)
    return VARLEN


def _transformers_attention(
    module: Any,
    query: Any,
    key: Any,
    value: Any,
    attention_mask: Any,
    scaling: float | None = None,
    **kwargs: Any,
) -> tuple[Any, None]:
    """Transformers' interface: (1, heads, tokens, head size) in, (1, tokens, heads, head size) out."""
    if not _current:
        from transformers.integrations.sdpa_attention import sdpa_attention_forward

        ordinary: tuple[Any, None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, scaling=scaling, **kwargs
        )
        return ordinary
    return _within_segments(query, key, value, scaling), None


def use_in_unsloth() -> None:
    """Let Unsloth's models (2026.10) compute within `packed`.

    Its own packing asks the GPU for the lengths several times a pass, and before PyTorch 2.12 calls the kernel once a
    row: on an H100 with PyTorch 2.11 it made packed batches slower than padded ones.
    """
    from unsloth.models import llama

    ordinary = llama.run_attention
    if getattr(ordinary, "within_segments", False):
        return

    def attention(config: Any, context: Any, Q: Any, K: Any, V: Any) -> Any:  # noqa: N803 - called by these names
        if not _current:
            return ordinary(config=config, context=context, Q=Q, K=K, V=V)
        return _within_segments(Q, K, V, None)

    attention.within_segments = True  # type: ignore[attr-defined]
    llama.run_attention = attention


def _within_segments(query: Any, key: Any, value: Any, scale: float | None) -> Any:
    packing = _current[-1]
    queries, keys, values = (tensor[0].transpose(0, 1) for tensor in (query, key, value))
    return varlen_attention(queries, keys, values, packing.boundaries, packing.longest, scale).unsqueeze(0)
