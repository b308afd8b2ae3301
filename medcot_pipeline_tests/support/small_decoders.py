"""Small decoders with random weights, with LoRA that changes what they write, and requests for them."""

from typing import Any

import torch
from transformers import LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM

from medcot_pipeline.inference.local.engine import LocalEngine
from medcot_pipeline.inference.local.plan import plan_engine
from medcot_pipeline.inference.requests import Request, Sampling
from medcot_pipeline.models.devices import Device
from medcot_pipeline.models.shape import ModelShape
from medcot_pipeline.settings import LocalEngineSettings

VOCABULARY = 300
SIZES = {
    "vocab_size": VOCABULARY,
    "hidden_size": 48,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
    "initializer_range": 0.3,
}
CPU = Device("CPU", None, varlen_kernel=False)
LORA_RANK = 3
SETTING = "MEDCOT_ANSWERS__MAX_NEW_TOKENS"
"""What messages name as what limits an answer."""


def ignore(line: str) -> None:
    """Say nothing."""


def small_qwen(*, adapter: bool = False) -> Any:
    """Qwen2 with biases and an output layer of its own."""
    torch.manual_seed(1)
    model = Qwen2ForCausalLM(Qwen2Config(**SIZES, tie_word_embeddings=False)).eval()
    for layer in model.model.layers:
        for module in (layer.self_attn.q_proj, layer.self_attn.k_proj, layer.self_attn.v_proj):
            torch.nn.init.normal_(module.bias, std=0.3)
    return with_lora(model) if adapter else model


def small_llama(*, adapter: bool = False) -> Any:
    """Llama with tied embeddings."""
    torch.manual_seed(2)
    model = LlamaForCausalLM(LlamaConfig(**SIZES, tie_word_embeddings=True)).eval()
    return with_lora(model) if adapter else model


def with_lora(model: Any, rank: int = LORA_RANK, scale: float = 0.2) -> Any:
    """A model with random LoRA, none of it zero, on all linear modules."""
    from peft import LoraConfig, get_peft_model

    made = get_peft_model(model, LoraConfig(r=rank, lora_alpha=2 * rank, target_modules="all-linear"))
    generator = torch.Generator().manual_seed(3)
    for name, weight in made.named_parameters():
        if "lora_B" in name:
            weight.data = torch.randn(weight.shape, generator=generator).to(weight) * scale
    return made.eval()


def engine_of(
    model: Any, ends: tuple[int, ...] = (), longest: int = 120, rows: int = 4, lora_rank: int = LORA_RANK
) -> LocalEngine:
    """An engine over a loaded model on this CPU."""
    shape = ModelShape.of(model.config.to_dict())
    settings = LocalEngineSettings(rows=rows)
    plan = plan_engine(shape, CPU, settings, longest, lora_rank=lora_rank, nf4=False, limited_by=SETTING)
    return LocalEngine(model, ends, plan, ignore)


def some_requests(count: int, max_tokens: int = 24, sampling: Sampling = Sampling()) -> list[Request]:  # noqa: B008
    """Requests with prompts of several lengths."""
    generator = torch.Generator().manual_seed(4)
    lengths = torch.randint(1, 40, (count,), generator=generator).tolist()
    prompts = [torch.randint(0, VOCABULARY, (length,), generator=generator).tolist() for length in lengths]
    return [Request(f"r-{n}", tuple(ids), sampling, 1000 + n, max_tokens) for n, ids in enumerate(prompts)]


def generated(model: Any, request: Request, ends: tuple[int, ...] = ()) -> list[int]:
    """What transformers' `generate` writes greedily, without the end token."""
    out = model.generate(
        input_ids=torch.tensor([request.prompt_ids], device=model.device),
        attention_mask=torch.ones(1, len(request.prompt_ids), dtype=torch.long, device=model.device),
        max_new_tokens=request.max_tokens,
        do_sample=False,
        eos_token_id=list(ends) or None,
        pad_token_id=0,
    )[0, len(request.prompt_ids) :].tolist()
    end = next((place for place, token in enumerate(out) if token in ends), len(out))
    return list(out[:end])
