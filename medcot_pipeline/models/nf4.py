"""Weights in NF4, and the numbers that they stand for.

A product with a packed weight unpacks it every time. Where memory allows, a weight is unpacked once: the numbers are
the same ones, and so is what comes of them.

Belongs here: unpacking, what weights take in either form, and whether they fit the memory of the host.
Does not belong here: quantising (load.py), the memory of a GPU (inference/local/plan.py).
"""

import os
from typing import Any

from medcot_pipeline.models.shape import ModelShape

NF4_BYTES = 4.127 / 8
"""Bytes of a weight in NF4 with double quantisation (4 bits, and its share of the constants)."""


def is_nf4(layer: Any) -> bool:
    """Whether a linear layer's weight is packed by bitsandbytes."""
    return getattr(layer.weight, "quant_state", None) is not None


def dense_weight(layer: Any) -> Any:
    """The weight of a linear layer; of an NF4 one the numbers that its product unpacks in every step."""
    if not is_nf4(layer):
        return layer.weight.detach()
    from bitsandbytes.functional import dequantize_4bit

    return dequantize_4bit(layer.weight.data, layer.weight.quant_state)


def let_go(layer: Any) -> None:
    """Give back the memory of a linear layer's weight, which was copied, whoever still refers to the layer.

    A packed weight of bitsandbytes refers to its layer and the layer to it: Python alone would free them some day.
    """
    layer.weight.data = layer.weight.data.new_empty(0)
    if is_nf4(layer):
        layer.weight.quant_state = layer.quant_state = None


def unpack_weights(model: Any) -> None:
    """Replace every NF4 layer of a model by a plain one with the same numbers, layer by layer, frozen as before."""
    import torch

    for parent in list(model.modules()):
        for name, layer in list(parent.named_children()):
            if isinstance(layer, torch.nn.Linear) and is_nf4(layer):
                plain = torch.nn.Linear(layer.in_features, layer.out_features, bias=False, device="meta")
                plain.weight = torch.nn.Parameter(dense_weight(layer), requires_grad=False)
                plain.bias = layer.bias
                let_go(layer)
                setattr(parent, name, plain)


def weight_bytes(shape: ModelShape, lora_rank: int, itemsize: int, *, packed: bool) -> float:
    """Bytes of all weights; embeddings and LoRA, which may stand joined with zeros between, are never packed."""
    linear = shape.linear_parameters * (NF4_BYTES if packed else itemsize)
    return itemsize * shape.embedding_parameters + linear + 4.0 * itemsize * shape.adapter_parameters(lora_rank)


def fits_host(model: Any, itemsize: int) -> bool:
    """Whether the linear layers of a model take, unpacked, no more than half of this machine's memory.

    Args:
        model: loaded in NF4.
        itemsize: bytes of an unpacked number.
    """
    import torch

    numbers = sum(each.in_features * each.out_features for each in model.modules() if isinstance(each, torch.nn.Linear))
    return itemsize * numbers <= os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2
