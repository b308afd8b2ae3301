"""How large a base model is: the sizes that its memory and its arithmetic follow from.

Belongs here: reading them from a configuration, and those of models that are known before they are downloaded.
Does not belong here: what a training run over them costs (training/plan/cost.py).
"""

import contextlib
import dataclasses
from pathlib import Path
from typing import Any

from medcot_pipeline.settings import BaseModelSettings
from medcot_pipeline.support.json_files import read_json


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

    @classmethod
    def of_folder(cls, folder: Path) -> "ModelShape":
        """From the folder of a model."""
        return cls.of(read_json(folder / "config.json"))

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

    @property
    def embedding_parameters(self) -> int:
        """Weights of the embedding and of the output layer, which may be one."""
        return self.vocabulary * self.hidden * (1 if self.tied else 2)

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


def base_shape(settings: BaseModelSettings, folder: Path | None) -> ModelShape | None:
    """The base model's shape: from its folder, else by its name at the hub; none where neither is known."""
    if folder is not None:
        with contextlib.suppress(OSError, ValueError, TypeError, KeyError):  # whoever loads it says what is wrong
            return ModelShape.of_folder(folder)
    return KNOWN_SHAPES.get(settings.repository) if settings.kind == "hub" else None
