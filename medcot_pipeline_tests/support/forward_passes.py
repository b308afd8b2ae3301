"""Something staged at forward passes of the tiny model in training, by PyTorch's own hooks.

Belongs here: counting the passes.
Does not belong here: what is staged.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch.nn.modules import module as hooks


def before_pass(when: Callable[[int], bool], then: Callable[[], None]) -> None:
    """Do something before some forward passes, which count from 1."""
    count = _Count()
    hooks.register_module_forward_pre_hook(lambda module, given: then() if when(count.of(module)) else None)


def lose_numbers_of_pass(number: int) -> None:
    """Let a forward pass, counted from 1, give no numbers."""
    count = _Count()

    def spoil(module: Any, given: Any, output: Any) -> None:
        if count.of(module) == number:
            with torch.no_grad():
                output.last_hidden_state.fill_(float("nan"))

    hooks.register_module_forward_hook(spoil)


class _Count:
    """Forward passes of the model in training."""

    def __init__(self) -> None:
        self._passes = 0

    def of(self, module: Any) -> int:
        """Which pass this is; 0 where the module is not the whole model in training."""
        if type(module).__name__ != "Qwen2Model" or not module.training:
            return 0
        self._passes += 1
        return self._passes
