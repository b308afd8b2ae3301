"""Micro-batches, forward and backward, recorded once and replayed: the host starts one thing instead of thousands.

A fast GPU computes a small micro-batch in the time that the host needs to start its kernels (about 0.2 to 0.4 s for the
7B shape), and waits. Packed micro-batches have few widths, and a CUDA graph needs one.

Belongs here: recording and replaying.
Does not belong here: when that pays (training/plan/cost.py).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

ForwardBackward = Callable[[Mapping[str, Any], Any], Any]


def record_micro_batches(
    forward_backward: ForwardBackward, inputs: Sequence[Mapping[str, Any]], divisor: Any, segments: int
) -> dict[int, "RecordedMicroBatch"]:
    """Record a packed micro-batch of each of some widths, within the memory that the widest one needs.

    Args:
        forward_backward: takes inputs and divisor, adds gradients, returns the loss; asks the GPU nothing.
        inputs: of `micro_batch.tensors`, on the GPU; any batch of each width.
        divisor: float32 scalar on the GPU.
        segments: most segments of a batch.

    Returns:
        The recordings by width, in tokens.
    """
    import torch

    made = [RecordedMicroBatch(forward_backward, each, divisor, segments) for each in inputs]
    widest_first = sorted(made, key=lambda each: each.width, reverse=True)
    beside = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    beside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(beside):
        for each in widest_first:  # all of them before the first is recorded, which keeps its memory
            each.warm_up()
    torch.cuda.current_stream().wait_stream(beside)
    torch.cuda.synchronize()
    torch.cuda.empty_cache()
    pool = torch.cuda.graph_pool_handle()
    for each in widest_first:
        each.record(pool)
    return {each.width: each for each in made}


class RecordedMicroBatch:
    """Replays the gradients of a packed micro-batch of one width.

    Gradients are added where they stood at recording: they must be zeroed in place, never dropped.
    """

    def __init__(
        self, forward_backward: ForwardBackward, inputs: Mapping[str, Any], divisor: Any, segments: int
    ) -> None:
        """Args: as of `record_micro_batches`, for one width."""
        import torch

        self._forward_backward = forward_backward
        self._boundaries = torch.empty(segments + 1, dtype=torch.int32, device=divisor.device)
        self._inputs = {name: tensor.clone() for name, tensor in inputs.items()} | {"boundaries": self._boundaries}
        self._divisor = divisor.clone()
        self._graph = torch.cuda.CUDAGraph()
        self._fill(inputs, divisor)

    @property
    def width(self) -> int:
        """Tokens of the line."""
        return int(self._inputs["input_ids"].shape[1])

    def warm_up(self) -> None:
        """Compile and tune what is so at first use: that must not be recorded."""
        for _ in range(2):
            self._forward_backward(self._inputs, self._divisor)

    def record(self, pool: Any) -> None:
        """Record within a pool of memory; recordings share it, since only one runs at a time."""
        import torch

        with torch.cuda.graph(self._graph, pool=pool, capture_error_mode="relaxed"):
            self._loss = self._forward_backward(self._inputs, self._divisor).detach()

    def __call__(self, inputs: Mapping[str, Any], divisor: Any) -> Any:
        """Add the gradients of a batch; returns its loss, which the next call of any recording overwrites."""
        self._fill(inputs, divisor)
        self._graph.replay()
        return self._loss

    def _fill(self, inputs: Mapping[str, Any], divisor: Any) -> None:
        for name, tensor in inputs.items():
            if name != "boundaries":
                self._inputs[name].copy_(tensor)
        boundaries = inputs["boundaries"]
        self._boundaries.fill_(self.width)  # the rest are empty segments at the end
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
