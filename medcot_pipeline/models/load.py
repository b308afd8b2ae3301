"""Loading the base in NF4.

Belongs here: quantisation settings.
Does not belong here: which folder is loaded, the device (devices.py), an adapter on top (arms.py).
"""

import logging
from pathlib import Path
from typing import Any

from medcot_pipeline.models.devices import compute_dtype, device
from medcot_pipeline.models.nf4 import fits_host, unpack_weights


def quiet() -> None:
    """Keep libraries from printing bars and hints between the progress lines."""
    import transformers

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)


def load_tokenizer(folder: Path) -> Any:
    """The tokenizer of a model folder; a missing pad token is the end token (labels are masked by position)."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def load_empty(folder: Path) -> tuple[Any, Any]:
    """The base model without its numbers, checked against its weight files; the report says what they lack."""
    from transformers import AutoModelForCausalLM

    loaded: tuple[Any, Any] = AutoModelForCausalLM.from_pretrained(
        folder, device_map="meta", use_safetensors=True, trust_remote_code=False, output_loading_info=True
    )
    return loaded


def load_base(folder: Path, *, training: bool = False, attention: str = "sdpa", unpack: bool | None = None) -> Any:
    """The base model: linear layers in NF4 with double quantisation (Dettmers et al. 2023), the rest as computed in.

    Args:
        folder: of the base model.
        training: whether it is computed in what training takes.
        attention: transformers' name of the kernel.
        unpack: hold the numbers that NF4 stands for, unpacked once; if not said, on a CPU with the memory for them.
    """
    dtype = compute_dtype(training=training)
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    quantization = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=dtype,
    )
    model = AutoModelForCausalLM.from_pretrained(
        folder,
        quantization_config=quantization,
        dtype=dtype,
        device_map={"": device()},
        use_safetensors=True,
        trust_remote_code=False,
        attn_implementation=attention,
    )
    _keep_nf4_layout(model)
    if unpack is None:
        unpack = device() == "cpu" and fits_host(model, dtype.itemsize)
    if unpack:
        unpack_weights(model)
    return model


def _keep_nf4_layout(model: Any) -> None:
    """Keep bitsandbytes from repacking weights at the first evaluation on CPUs with AVX-512 BF16.

    The packed layout has no backward pass: training that goes on after an evaluation would lose the gradients through
    every base layer without a word. It also computes in bfloat16, and so differs between machines.
    """
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False
