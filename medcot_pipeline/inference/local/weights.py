"""A decoder's parameters, taken out of the module of transformers that was loaded.

Belongs here: which models the engine knows, and where their parameters are.
Does not belong here: multiplying by them (projections.py), the forward pass (forward.py).
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

from medcot_pipeline.inference.local.projections import Projection
from medcot_pipeline.models.arms import without_adapter
from medcot_pipeline.models.shape import ModelShape
from medcot_pipeline.support.errors import MedcotError

KNOWN = ("llama", "qwen2")
"""Values of `model_type`: RMSNorm before each block, rotary positions, grouped attention, SwiGLU."""


@dataclasses.dataclass(frozen=True)
class LayerWeights:
    """One layer: query, key and value as one product, gate and up as another."""

    attention_norm: Any
    query_key_value: Projection
    attention_out: Projection
    feed_forward_norm: Any
    gate_up: Projection
    down: Projection


@dataclasses.dataclass(frozen=True)
class DecoderWeights:
    """All parameters.

    Attributes:
        shape: sizes.
        embedding: [vocabulary, hidden].
        layers: from the first to the last.
        norm: [hidden], before the output layer.
        head: [vocabulary, hidden].
        epsilon: of every norm.
        cos: [positions, head size], of rotary positions (Su et al. 2021).
        sin: likewise.
        dtype: what is computed in.
    """

    shape: ModelShape
    embedding: Any
    layers: list[LayerWeights]
    norm: Any
    head: Any
    epsilon: float
    cos: Any
    sin: Any
    dtype: Any

    @property
    def device(self) -> Any:
        """Where they are."""
        return self.embedding.device

    @property
    def has_adapter(self) -> bool:
        """Whether there is LoRA on any layer."""
        return any(
            each.has_adapter
            for layer in self.layers
            for each in (layer.query_key_value, layer.attention_out, layer.gate_up, layer.down)
        )


def is_known(config: Mapping[str, Any]) -> bool:
    """Whether the engine knows a model with this `config.json`."""
    kinds = set(config.get("layer_types") or ()) | ({"sliding"} if config.get("use_sliding_window") else set())
    activation = config.get("hidden_act", "silu")
    return config.get("model_type") in KNOWN and kinds <= {"full_attention"} and activation == "silu"


def take_weights(model: Any, dtype: Any, positions: int, *, keep_nf4: bool) -> DecoderWeights:
    """The parameters of a loaded causal model, with its LoRA; the model is taken apart and cannot be used afterwards.

    Args:
        model: of transformers, or one of PEFT around it.
        dtype: what is to be computed in.
        positions: of the longest row.
        keep_nf4: leave packed weights packed.

    Raises:
        MedcotError: an architecture or an adapter that the engine does not know.
    """
    import torch

    whole = without_adapter(model)
    config = whole.config
    if not is_known(config.to_dict()):
        raise MedcotError(
            f"the local engine supports {' and '.join(KNOWN)} models with full attention; this is {config.model_type}.",
            "Serve the model and use it as an endpoint.",
        )
    decoder = whole.model
    inside = {id(module) for layer in decoder.layers for module in layer.modules()}
    beside = [name for name, module in model.named_modules() if hasattr(module, "lora_A") and id(module) not in inside]
    if beside:
        raise MedcotError(f"the adapter changes {beside[0]}; the local engine supports adapters on linear layers only.")
    with torch.no_grad():
        embedding = decoder.embed_tokens.weight.detach().to(dtype)
        cos, sin = decoder.rotary_emb(embedding[:1, None], torch.arange(positions, device=embedding.device)[None])
        head = embedding if config.tie_word_embeddings else whole.lm_head.weight.detach().to(dtype)
        layers = [_take_layer(decoder.layers, number, dtype, keep_nf4) for number in range(len(decoder.layers))]
    return DecoderWeights(
        shape=ModelShape.of(config.to_dict()),
        embedding=embedding,
        layers=layers,
        norm=decoder.norm.weight.detach().to(dtype),
        head=head,
        epsilon=config.rms_norm_eps,
        cos=cos[0].contiguous(),
        sin=sin[0].contiguous(),
        dtype=dtype,
    )


def _take_layer(layers: Any, number: int, dtype: Any, keep_nf4: bool) -> LayerWeights:
    """The weights of one layer, whose module is let go of: both forms of a whole model would not fit side by side."""
    import torch

    layer = layers[number]
    attention, forward = layer.self_attn, layer.mlp

    def joined(*modules: Any) -> Projection:
        return Projection(modules, dtype, keep_nf4=keep_nf4)

    taken = LayerWeights(
        attention_norm=layer.input_layernorm.weight.detach().to(dtype),
        query_key_value=joined(attention.q_proj, attention.k_proj, attention.v_proj),
        attention_out=joined(attention.o_proj),
        feed_forward_norm=layer.post_attention_layernorm.weight.detach().to(dtype),
        gate_up=joined(forward.gate_proj, forward.up_proj),
        down=joined(forward.down_proj),
    )
    layers[number] = torch.nn.Identity()
    return taken
