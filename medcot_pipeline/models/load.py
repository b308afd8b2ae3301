"""Loading the base in NF4.

Belongs here: quantisation settings, devices, threads.
Does not: which folder is loaded, an adapter on top of it (arms.py).
"""

import logging
from pathlib import Path
from typing import Any


def device() -> str:
    """`cuda` where there is a GPU, else `cpu`."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def compute_dtype(*, training: bool = False) -> Any:
    """bfloat16 on a GPU; float32 on a CPU, but for training where the CPU multiplies bfloat16 itself."""
    import torch

    fast = device() == "cuda" or (training and torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return torch.bfloat16 if fast else torch.float32


def limit_gpu_memory(gigabytes: float | None) -> None:
    """Let this process allocate at most so many GB (10^9 bytes) of the GPU; no limit, or no GPU, changes nothing."""
    import torch

    if gigabytes is not None and device() == "cuda":
        total = torch.cuda.get_device_properties(0).total_memory
        torch.cuda.set_per_process_memory_fraction(min(1.0, gigabytes * 1e9 / total))


def fix_threads() -> None:
    """Compute on this number of threads throughout: left alone, MKL may take fewer, and sums in another order."""
    import torch

    torch.set_num_threads(torch.get_num_threads())


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
    """The base model without its numbers, held against its weights; what of them was missing is in the report."""
    from transformers import AutoModelForCausalLM

    loaded: tuple[Any, Any] = AutoModelForCausalLM.from_pretrained(
        folder, device_map="meta", use_safetensors=True, trust_remote_code=False, output_loading_info=True
    )
    return loaded


def load_base(folder: Path, *, training: bool = False, attention: str = "sdpa") -> Any:
    """The base model: linear layers in NF4 with double quantisation (Dettmers et al. 2023), the rest as computed in."""
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
    return model


def _keep_nf4_layout(model: Any) -> None:
    """Keep bitsandbytes from repacking weights at the first evaluation on CPUs with AVX-512 BF16.

    The packed layout has no backward pass: training that goes on after an evaluation would lose the gradients through
    every base layer without a word. It also computes in bfloat16, and so differs between machines.
    """
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False
