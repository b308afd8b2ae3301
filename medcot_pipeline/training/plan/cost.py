"""What a way to cut an optimiser step costs: bytes and seconds, from model, engine and device.

The byte counts per token follow from which tensors each engine keeps for the backward pass; their coefficients were
fitted to measurements on an H100 (7B shape, NF4, bfloat16): without checkpointing 3.58 MB a token with Unsloth and
6.03 MB with PEFT, with offloaded checkpointing 0.31 MB.

Belongs here: every prediction of memory and time of training.
Does not belong here: choosing anything by them (choose.py).
"""

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

from medcot_pipeline.models.devices import GB, Device
from medcot_pipeline.models.nf4 import NF4_BYTES
from medcot_pipeline.models.shape import ModelShape
from medcot_pipeline.training.plan.training_plan import Checkpointing, Engine
from medcot_pipeline.training.rows import TrainingRow
from medcot_pipeline.training.steps.batches import Cutting

WORKSPACE_BYTES = 0.3 * GB
"""Logits of one chunk of the loss, a dequantised weight and cuBLAS's workspace."""
HEADROOM_BYTES = 1.2 * GB
"""Left free within the limit: fragmentation, validation, and what the estimate misses."""
GRAPH_BYTES = 0.4 * GB
"""What recorded micro-batches take beside the one that recorded them: 0.3 GB were measured, for one and for six."""
REACHED_SHARE = {"unsloth": 0.53, "hf": 0.41}
"""Share of a device's matrix rate which training reaches, by engine, measured on an H100 that reaches 800 Tflop/s."""
HOST_SECONDS_PER_LAYER = {"unsloth": 0.0078, "hf": 0.0103}
"""What starting one layer's kernels costs the host, forward and backward: the floor of a micro-batch's time."""
TOGETHER_BYTES = 0.8 * GB
"""What NCCL takes on each GPU, measured on two H200."""
SUM_RATE = 8e9
"""Bytes a second of gradients that ranks add up, over PCIe; an estimate, and less than NVLink reaches."""
GRAPH_SHARE = 0.5
"""Micro-batches are recorded where the host's time to start them is at least this share of the GPU's."""
GRAPH_TOKENS = 4096
"""Of the micro-batch by which that is judged."""


class Recomputed(NamedTuple):
    """What the backward pass computes again, and in how many layers."""

    kind: Checkpointing
    layers: int


@dataclasses.dataclass(frozen=True)
class CostModel:
    """Costs of training LoRA over one base, by one engine, on one device.

    Attributes:
        shape: the base model.
        engine: whose kernels; Unsloth keeps two of a feed-forward layer's four wide tensors.
        device: the GPU or the CPU.
        lora_rank: of the adapter, which is on all linear modules.
        ranks: processes that train together, each on a device like this one.
    """

    shape: ModelShape
    engine: Engine
    device: Device
    lora_rank: int
    ranks: int = 1

    @property
    def fixed_bytes(self) -> float:
        """Memory that does not grow with the micro-batch: NF4 weights, embeddings, adapter with Adam, workspace."""
        shape = self.shape
        embeddings = 2 * shape.embedding_parameters
        adapter = 16 * shape.adapter_parameters(self.lora_rank)  # float32: weight, gradient and Adam's two moments
        alone = NF4_BYTES * shape.linear_parameters + embeddings + adapter + WORKSPACE_BYTES
        return alone + (self._summed_bytes + TOGETHER_BYTES if self.ranks > 1 else 0.0)

    @property
    def _summed_bytes(self) -> float:
        """Gradients that the ranks add up in every step, float32."""
        return 4 * self.shape.adapter_parameters(self.lora_rank)

    def bytes_per_token(self, recomputed: Recomputed) -> float:
        """Memory that each token of a micro-batch adds at the peak of a step."""
        hidden, wide = self.shape.hidden, self.shape.feed_forward
        unsloth = self.engine == "unsloth"
        live = 4 * wide + 12.65 * hidden if unsloth else 8 * wide + 16.8 * hidden
        transient = 10 * wide if unsloth else 5.5 * wide
        kept = 0.0 if recomputed.kind == "offloaded" else 2.0 * hidden
        whole = self.shape.layers - recomputed.layers
        again = live if recomputed.layers else 0.0
        return recomputed.layers * kept + whole * live + again + transient

    def token_room(self, *, graph: bool) -> float:
        """Bytes that a GPU leaves to the tokens of a micro-batch; `graph`: micro-batches are recorded."""
        assert self.device.memory_gb is not None
        return self.device.memory_gb * GB - HEADROOM_BYTES - self.fixed_bytes - graph * GRAPH_BYTES

    def peak_gb(self, recomputed: Recomputed, tokens: int) -> float:
        """Memory at the peak of a step whose largest micro-batch has so many tokens, GB."""
        return (self.fixed_bytes + tokens * self.bytes_per_token(recomputed)) / GB

    def waits_for_host(self, mean_row_tokens: float) -> bool:
        """Whether the host needs a good part of the GPU's time for a micro-batch to start its kernels."""
        if self.device.matrix_rate is None:
            return False
        operations = GRAPH_TOKENS * operations_per_token(self.shape, 0, mean_row_tokens)
        work = operations / (self.device.matrix_rate * REACHED_SHARE[self.engine])
        return HOST_SECONDS_PER_LAYER[self.engine] * self.shape.layers >= GRAPH_SHARE * work

    def seconds(
        self, recomputed: Recomputed, cutting: Cutting, steps: Sequence[Sequence[Sequence[TrainingRow]]]
    ) -> float | None:
        """Time of these optimiser steps; none where the device's speed is not known.

        A micro-batch takes what its operations take, or the host's time to start them if that is longer; a step what
        the slowest rank takes for its share, and the sum of the gradients.

        Args:
            recomputed: by the backward pass.
            cutting: of the shares.
            steps: each as the shares of the ranks.
        """
        if self.device.matrix_rate is None:
            return None
        sizes = [len(row) for shares in steps for share in shares for row in share]
        rate = self.device.matrix_rate * REACHED_SHARE[self.engine]
        each = operations_per_token(self.shape, recomputed.layers, sum(sizes) / len(sizes)) / rate
        host = HOST_SECONDS_PER_LAYER[self.engine] * (self.shape.layers + recomputed.layers / 3)
        together = self._summed_bytes / SUM_RATE if self.ranks > 1 else 0.0

        def of_share(rows: Sequence[TrainingRow]) -> float:
            return sum(max(batch.padded_tokens * each, host) for batch in cutting.cut(rows))

        return sum(max(map(of_share, shares)) + together for shares in steps)


def operations_per_token(shape: ModelShape, recomputed_layers: int, mean_row_tokens: float) -> float:
    """Floating-point operations for one token, forward and backward.

    Frozen weights need the gradient of their input alone, so each is multiplied twice, and once more where a layer is
    computed again; the output layer twice. Causal attention adds 4 x heads x head size x half the row, likewise.
    """
    passes = 2 + recomputed_layers / shape.layers
    linear = 2.0 * shape.linear_parameters * passes
    attention = shape.layers * 2.0 * shape.heads * shape.head_size * mean_row_tokens * (passes + 0.5)
    return linear + attention + 2 * 2.0 * shape.vocabulary * shape.hidden
