"""What a training run needs: bytes and floating-point operations, from the model's shape.

The byte counts per token follow from which tensors each engine keeps for the backward pass; their coefficients were
fitted to measurements on an H100 (7B shape, NF4, bfloat16): without checkpointing 3.58 MB a token with Unsloth and
6.03 MB with PEFT, with offloaded checkpointing 0.31 MB.

Belongs here: estimates, as pure functions of a shape.
Does not: choosing anything by them (planner.py).
"""

import dataclasses
from typing import Any, Literal

Engine = Literal["hf", "unsloth"]
Checkpointing = Literal["none", "some", "all", "offloaded"]

GB = 1e9
NF4_BYTES = 4.127 / 8
"""Bytes of a weight in NF4 with double quantisation (4 bits, and its share of the constants)."""
WORKSPACE_BYTES = 0.3 * GB
"""Logits of one chunk of the loss, a dequantised weight and cuBLAS's workspace."""


@dataclasses.dataclass(frozen=True)
class ModelShape:
    """Sizes of a decoder with grouped attention and a gated feed-forward layer (Llama, Qwen2)."""

    layers: int
    hidden: int
    feed_forward: int
    heads: int
    key_heads: int
    head_size: int
    vocabulary: int
    tied: bool

    @classmethod
    def of(cls, config: dict[str, Any]) -> "ModelShape":
        """From a model's `config.json`."""
        heads = config["num_attention_heads"]
        return cls(
            layers=config["num_hidden_layers"],
            hidden=config["hidden_size"],
            feed_forward=config["intermediate_size"],
            heads=heads,
            key_heads=config.get("num_key_value_heads") or heads,
            head_size=config.get("head_dim") or config["hidden_size"] // heads,
            vocabulary=config["vocab_size"],
            tied=bool(config.get("tie_word_embeddings", False)),
        )

    @property
    def linear_sizes(self) -> list[tuple[int, int]]:
        """Inputs and outputs of one layer's seven linear modules."""
        attention, keys = self.heads * self.head_size, self.key_heads * self.head_size
        return [
            (self.hidden, attention),
            (self.hidden, keys),
            (self.hidden, keys),
            (attention, self.hidden),
            (self.hidden, self.feed_forward),
            (self.hidden, self.feed_forward),
            (self.feed_forward, self.hidden),
        ]

    @property
    def linear_parameters(self) -> int:
        """Weights of all linear modules of all layers."""
        return self.layers * sum(rows * columns for rows, columns in self.linear_sizes)

    def adapter_parameters(self, rank: int) -> int:
        """Parameters of LoRA on all linear modules."""
        return self.layers * sum(rank * (rows + columns) for rows, columns in self.linear_sizes)


KNOWN_SHAPES = {
    f"deepseek-ai/DeepSeek-R1-Distill-{name}": ModelShape(
        layers=layers,
        hidden=hidden,
        feed_forward=feed_forward,
        heads=heads,
        key_heads=key_heads,
        head_size=128,
        vocabulary=vocabulary,
        tied=False,
    )
    for name, layers, hidden, feed_forward, heads, key_heads, vocabulary in (
        ("Qwen-1.5B", 28, 1536, 8960, 12, 2, 151936),
        ("Qwen-7B", 28, 3584, 18944, 28, 4, 152064),
        ("Llama-8B", 32, 4096, 14336, 32, 8, 128256),
        ("Qwen-14B", 48, 5120, 13824, 40, 8, 152064),
        ("Qwen-32B", 64, 5120, 27648, 40, 8, 152064),
        ("Llama-70B", 80, 8192, 28672, 64, 8, 128256),
    )
}
"""By repository at the hub, from each model's `config.json`, so that a run can be planned before it is downloaded."""


def fixed_bytes(shape: ModelShape, rank: int) -> float:
    """Memory that does not grow with the micro-batch: NF4 weights, embeddings, adapter with Adam, workspace."""
    embeddings = 2 * shape.vocabulary * shape.hidden * (1 if shape.tied else 2)
    adapter = 16 * shape.adapter_parameters(rank)  # float32: weight, gradient and Adam's two moments
    return NF4_BYTES * shape.linear_parameters + embeddings + adapter + WORKSPACE_BYTES


def bytes_per_token(shape: ModelShape, engine: Engine, checkpointing: Checkpointing, checkpointed_layers: int) -> float:
    """Memory that each token of a micro-batch adds at the peak of a step.

    Args:
        shape: the model.
        engine: whose kernels; Unsloth keeps two of a feed-forward layer's four wide tensors.
        checkpointing: `offloaded` keeps the layers' inputs in the host's memory.
        checkpointed_layers: layers that keep their input alone and compute the rest again.
    """
    hidden, wide = shape.hidden, shape.feed_forward
    live = 4 * wide + 12.65 * hidden if engine == "unsloth" else 8 * wide + 16.8 * hidden
    transient = 10 * wide if engine == "unsloth" else 5.5 * wide
    kept = 0.0 if checkpointing == "offloaded" else 2.0 * hidden
    whole = shape.layers - checkpointed_layers
    again = live if checkpointed_layers else 0.0
    return checkpointed_layers * kept + whole * live + again + transient


def operations_per_token(shape: ModelShape, checkpointed_layers: int, mean_row_tokens: float) -> float:
    """Floating-point operations for one token, forward and backward.

    Frozen weights need the gradient of their input alone, so each is multiplied twice, and once more where a layer is
    computed again; the output layer twice. Causal attention adds 4 x heads x head size x half the row, likewise.
    """
    passes = 2 + checkpointed_layers / shape.layers
    linear = 2.0 * shape.linear_parameters * passes
    attention = shape.layers * 2.0 * shape.heads * shape.head_size * mean_row_tokens * (passes + 0.5)
    return linear + attention + 2 * 2.0 * shape.vocabulary * shape.hidden
