"""Linear layers of one input as one matrix product, with LoRA in one more.

The rows of LoRA's down-projections stand below the rows of the base in one matrix, so that one product gives both; a
second one adds `up` x down. LoRA is not merged into the weights: in bfloat16 most of it would be rounded away, and
the tuned model would be another one than base and adapter.

Belongs here: taking weights out of modules of PyTorch, bitsandbytes and PEFT, and multiplying by them.
Does not belong here: which modules a model has (weights.py), whether NF4 is kept (plan.py).
"""

from collections.abc import Callable, Sequence
from typing import Any

from medcot_pipeline.models.nf4 import dense_weight, is_nf4, let_go
from medcot_pipeline.models.products import product, round_up
from medcot_pipeline.support.errors import MedcotError

ALIGNED = 16
"""Rows of LoRA are padded to a multiple: tensor cores and kernels want aligned strides."""


class Projection:
    """`x -> x W^T + b`, and LoRA on top where the adapter is asked for.

    Attributes:
        size: outputs.
    """

    def __init__(self, modules: Sequence[Any], dtype: Any, *, keep_nf4: bool) -> None:
        """Args: modules: with one input; their outputs stand side by side. keep_nf4: multiply by the packed weights."""
        import torch

        bases = [getattr(module, "base_layer", module) for module in modules]
        sizes = [base.out_features for base in bases]
        self.size = sum(sizes)
        device = bases[0].weight.device
        down, self._up = lora_of(modules, sizes, dtype, device)
        self._packed: list[Callable[[Any], Any]] | None = None
        if keep_nf4 and any(is_nf4(base) for base in bases):
            self._packed, self._down, self._bias = bases, down, None
            return
        extra = 0 if down is None else down.shape[0]
        self._weight = torch.empty(self.size + extra, bases[0].in_features, dtype=dtype, device=device)
        start = 0
        for base, size in zip(bases, sizes, strict=True):
            self._weight[start : start + size] = dense_weight(base)
            start += size
            let_go(base)
        if down is not None:
            self._weight[self.size :] = down
        self._bias = None
        if any(base.bias is not None for base in bases):
            self._bias = torch.zeros(self.size + extra, dtype=dtype, device=device)
            self._bias[: self.size] = torch.cat(
                [
                    torch.zeros(size, device=device) if base.bias is None else base.bias
                    for base, size in zip(bases, sizes, strict=True)
                ]
            )

    @property
    def has_adapter(self) -> bool:
        """Whether LoRA is on any of its modules."""
        return self._up is not None

    def __call__(self, x: Any, *, adapter: bool) -> Any:
        """[rows, inputs] -> [rows, size]; the rows of the result may lie further apart than `size`."""
        import torch
        from torch.nn.functional import linear

        adapted = adapter and self._up is not None
        if self._packed is not None:
            made = [layer(x) for layer in self._packed]
            out = made[0] if len(made) == 1 else torch.cat(made, dim=-1)
            return out.addmm_(linear(x, self._down), self._up.t()) if adapted else out
        if not adapted:
            return product(x, self._weight[: self.size], None if self._bias is None else self._bias[: self.size])
        both = product(x, self._weight, self._bias)
        return both[:, : self.size].addmm_(both[:, self.size :], self._up.t())


def lora_of(modules: Sequence[Any], sizes: Sequence[int], dtype: Any, device: Any) -> tuple[Any, Any]:
    """LoRA of some modules as one pair: down [ranks, inputs] and up [outputs, ranks]; none where there is no LoRA.

    `up` has a block for each module, with its scale in it; ranks are padded with zeros.

    Raises:
        MedcotError: an adapter of another kind than plain LoRA.
    """
    import torch

    parts = [adapter_of(module) for module in modules]
    ranks = [0 if part is None else part[0].shape[0] for part in parts]
    if not sum(ranks):
        return None, None
    inputs = next(part[0].shape[1] for part in parts if part is not None)
    down = torch.zeros(round_up(sum(ranks), ALIGNED), inputs, dtype=dtype, device=device)
    up = torch.zeros(sum(sizes), len(down), dtype=dtype, device=device)
    row = rank = 0
    for part, size, count in zip(parts, sizes, ranks, strict=True):
        if part is not None:
            down[rank : rank + count] = part[0]
            up[row : row + size, rank : rank + count] = part[1]
        row, rank = row + size, rank + count
    return down, up


def adapter_of(module: Any) -> tuple[Any, Any] | None:
    """Down [rank, inputs] and up [outputs, rank], with its scale in it, of the LoRA on one module.

    Raises:
        MedcotError: as of `lora_of`.
    """
    names = [name for name in getattr(module, "active_adapters", []) if name in getattr(module, "lora_A", {})]
    if not names:
        return None
    if len(names) > 1 or any(name in getattr(module, "lora_variant", {}) for name in names):
        raise MedcotError(
            f"the adapter {', '.join(names)} is not plain LoRA, the only kind that the local engine supports.",
            "Serve the model and use it as an endpoint.",
        )
    name = names[0]
    up = module.lora_B[name]
    if up.bias is not None:
        raise MedcotError(f"the adapter {name} has a bias, which the local engine does not support.")
    return module.lora_A[name].weight.detach(), up.weight.detach().float() * module.scaling[name]
