"""The one renderer and encoder of prompt, reasoning and answer, for training, perplexity and generation alike.

Belongs here: the `<think>` format, segments and their tokens, the offline R1-distill tokenizer, taking what a model
wrote apart.
Does not belong here: which rows are encoded, or models.
"""

from medcot_pipeline.chat.encode import IGNORED_LABEL, EncodedRow, encode_prompt, encode_row, tokenizer_problems
from medcot_pipeline.chat.render import (
    PLACEHOLDER,
    THINK_CLOSE,
    THINK_OPEN,
    Written,
    opens_thinking,
    render_completion,
    render_output,
    render_prompt,
    split_written,
)

__all__ = [
    "IGNORED_LABEL",
    "PLACEHOLDER",
    "THINK_CLOSE",
    "THINK_OPEN",
    "EncodedRow",
    "Written",
    "encode_prompt",
    "encode_row",
    "opens_thinking",
    "render_completion",
    "render_output",
    "render_prompt",
    "split_written",
    "tokenizer_problems",
]
