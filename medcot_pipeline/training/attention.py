"""Attention over packed rows: every row sees itself alone.

Belongs here: the variable-length kernel, and giving it to transformers and to Unsloth.
Does not: how rows are packed (batches.py).
"""

import inspect
import itertools
from typing import Any

VARLEN = "medcot_varlen"


def has_varlen_kernel() -> bool:
    """Whether this GPU has PyTorch's variable-length flash kernel: compute capability 8.0 (Ampere) or newer."""
    import torch

    if not torch.cuda.is_available() or torch.version.hip is not None:
        return False
    return torch.cuda.get_device_capability()[0] >= 8 and torch.backends.cuda.is_flash_attention_available()


def varlen_attention(
    query: Any, key: Any, value: Any, boundaries: Any, longest: int, scale: float | None = None
) -> Any:
    """Causal attention within segments.

    Args:
        query: (tokens, heads, head size); bfloat16 or float16 on a GPU.
        key: (tokens, key heads, head size); heads is a multiple of key heads.
        value: as `key`.
        boundaries: int32 (segments + 1): where segments begin and end; the first is 0, the last is tokens.
        longest: tokens of the longest segment.
        scale: of the products; 1/sqrt(head size) if not given.

    Returns:
        (tokens, heads, head size).
    """
    import torch

    if not query.is_cuda:
        return _segment_by_segment(query, key, value, boundaries, scale)
    from torch.nn.attention.varlen import varlen_attn

    if "enable_gqa" in inspect.signature(varlen_attn).parameters:
        return varlen_attn(
            query, key, value, boundaries, boundaries, longest, longest,
            scale=scale, window_size=(-1, 0), enable_gqa=query.shape[1] != key.shape[1],
        )  # fmt: skip
    # PyTorch 2.11: its function takes no grouped heads, the kernel below it does.
    return torch.ops.aten._flash_attention_forward(
        query, key, value, boundaries, boundaries, longest, longest, 0.0, True, False, scale=scale
    )[0]


def _segment_by_segment(query: Any, key: Any, value: Any, boundaries: Any, scale: float | None) -> Any:
    """The same by ordinary attention: what a CPU computes, and what the kernel is held against."""
    import torch
    from torch.nn.functional import scaled_dot_product_attention

    edges = boundaries.tolist()
    parts = []
    for start, end in itertools.pairwise(edges):
        rows, keys, values = (tensor[start:end].transpose(0, 1).unsqueeze(0) for tensor in (query, key, value))
        grouped = query.shape[1] != key.shape[1]
        part = scaled_dot_product_attention(rows, keys, values, is_causal=True, scale=scale, enable_gqa=grouped)
        parts.append(part[0].transpose(0, 1))
    return torch.cat(parts)


def use_in_transformers() -> str:
    """Register the kernel with transformers; models with this `attn_implementation` take packed batches."""
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
    cu_seq_lens_q: Any = None,
    max_length_q: int | None = None,
    **kwargs: Any,
) -> tuple[Any, None]:
    """Transformers' interface: (1, heads, tokens, head size) in, (1, tokens, heads, head size) out.

    Batches that are not packed go to ordinary attention.
    """
    if cu_seq_lens_q is None or max_length_q is None:
        from transformers.integrations.sdpa_attention import sdpa_attention_forward

        ordinary: tuple[Any, None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, scaling=scaling, **kwargs
        )
        return ordinary
    queries, keys, values = (tensor[0].transpose(0, 1) for tensor in (query, key, value))
    return varlen_attention(queries, keys, values, cu_seq_lens_q, max_length_q, scaling).unsqueeze(0), None


def use_in_unsloth() -> None:
    """Let Unsloth 2026.10 use the kernel under PyTorch 2.11 too; from 2.12 on it finds it by itself."""
    from unsloth.utils import attention_dispatch

    if attention_dispatch._TORCH_VARLEN_ATTN is None:
        attention_dispatch._TORCH_VARLEN_ATTN = _unsloth_attention


def _unsloth_attention(
    query: Any,
    key: Any,
    value: Any,
    boundaries: Any,
    _: Any,
    longest: int,
    __: int,
    *,
    scale: float | None,
    **kwargs: Any,
) -> Any:
    return varlen_attention(query, key, value, boundaries, longest, scale)


def forward_arguments(engine: str, batch: dict[str, Any]) -> dict[str, Any]:
    """A batch of `batches.tensors`, on its device, as keyword arguments of the engine's model."""
    import torch

    if "lengths" not in batch:
        return batch
    lengths = batch["lengths"]
    rest = {name: tensor for name, tensor in batch.items() if name != "lengths"}
    if engine == "unsloth":
        return rest | {"packed_seq_lengths": lengths}
    boundaries = torch.nn.functional.pad(lengths.cumsum(0, dtype=torch.int32), (1, 0))
    longest = int(lengths.max())
    return rest | {
        "cu_seq_lens_q": boundaries, "cu_seq_lens_k": boundaries, "max_length_q": longest, "max_length_k": longest,
    }  # fmt: skip
