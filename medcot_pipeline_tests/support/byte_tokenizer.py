"""A tokenizer of one token a byte, for tests that count tokens or need another model's template.

Belongs here: the tokenizer.
Does not belong here: the R1-distill tokenizer, which the package builds itself.
"""

from typing import Any

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers

CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)


def byte_tokenizer(*, drops: str = "", **changes: Any) -> Any:
    """Bytes as tokens, `<|im_end|>` as end and pad token, ChatML.

    Args:
        drops: a regular expression of text that the tokenizer loses.
        changes: arguments of `PreTrainedTokenizerFast` that are to be others.
    """
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={char: number for number, char in enumerate(alphabet)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    if drops:
        tokenizer.normalizer = normalizers.Replace(Regex(drops), "")
    tokenizer.add_special_tokens(["<|im_start|>", "<|im_end|>"])
    usual = {"eos_token": "<|im_end|>", "pad_token": "<|im_end|>", "chat_template": CHATML}
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, clean_up_tokenization_spaces=False, **{**usual, **changes}
    )
