"""One micro-batch, forward and backward, recorded once and replayed: the host starts one thing instead of thousands.

A fast GPU computes a small micro-batch in the time that the host needs to start its kernels (about 0.2 to 0.4 s for the
7B shape), and waits. Packed micro-batches all have one shape, which a CUDA graph needs.

Belongs here: recording and replaying.
Does not: when that pays (planner.py).
"""

from collections.abc import Callable, Mapping
from typing import Any

ForwardBackward = Callable[[Mapping[str, Any], Any], Any]


class RecordedMicroBatch:
    """Replays the gradients of a packed micro-batch of one shape.

    Gradients are added where they stood at recording: they must be zeroed in place, never dropped.
    """

    def __init__(
        self, forward_backward: ForwardBackward, inputs: Mapping[str, Any], divisor: Any, segments: int
    ) -> None:
        """Record.

        Args:
            forward_backward: takes inputs and divisor, adds gradients, returns the loss; asks the GPU nothing.
            inputs: of `batches.tensors`, on the GPU; any batch of the shape.
            divisor: float32 scalar on the GPU.
            segments: most segments of a batch.
        """
        import torch

        self._boundaries = torch.empty(segments + 1, dtype=torch.int32, device=divisor.device)
        self._inputs = {name: tensor.clone() for name, tensor in inputs.items()} | {"boundaries": self._boundaries}
        self._divisor = divisor.clone()
        self._fill(inputs, divisor)
        beside = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        beside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(beside):
            for _ in range(2):  # what is compiled or tuned at first use must not be recorded
                forward_backward(self._inputs, self._divisor)
        torch.cuda.current_stream().wait_stream(beside)
        torch.cuda.synchronize()
        torch.cuda.empty_cache()
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph, capture_error_mode="relaxed"):
            self._loss = forward_backward(self._inputs, self._divisor).detach()

    def __call__(self, inputs: Mapping[str, Any], divisor: Any) -> Any:
        """Add the gradients of a batch; returns its loss, which the next call overwrites."""
        self._fill(inputs, divisor)
        self._graph.replay()
        return self._loss

    def _fill(self, inputs: Mapping[str, Any], divisor: Any) -> None:
        for name, tensor in inputs.items():
            if name != "boundaries":
                self._inputs[name].copy_(tensor)
        boundaries = inputs["boundaries"]
        self._boundaries.fill_(self._inputs["input_ids"].shape[1])  # the rest are empty segments at the end
        self._boundaries[: len(boundaries)].copy_(boundaries)
        self._divisor.copy_(divisor)


def zero_in_place(model: Any) -> None:
    """Let `model.zero_grad()` zero the gradients where they stand."""
    trainable = [weight for weight in model.parameters() if weight.requires_grad]

    def zero_grad(set_to_none: bool = False) -> None:
        for weight in trainable:
            if weight.grad is not None:
                weight.grad.zero_()

    model.zero_grad = zero_grad
