"""Keys and values of all rows, in blocks: a row takes another block when it grows, and gives all back at its end.

Belongs here: the memory of the blocks, and which are free.
Does not belong here: how many fit (plan.py), reading them (operations/).
"""

from collections.abc import Sequence
from typing import Any

from medcot_pipeline.models.shape import ModelShape

SPLIT_TOKENS = 256
"""Tokens that one program reads on a GPU: long rows are read by several at once (flash decoding, Dao 2023)."""
NOBODYS = 0
"""The block that rows without a request write to."""


class Cache:
    """Blocks of places, each place with one token's keys and values of every layer.

    Attributes:
        block_tokens: places of a block.
        keys: by layer, [places, key heads, head size].
        values: likewise.
    """

    def __init__(self, shape: ModelShape, blocks: int, block_tokens: int, dtype: Any, device: Any) -> None:
        """Args: blocks: beside nobody's."""
        import torch

        self.block_tokens = block_tokens
        size = (2, shape.layers, (blocks + 1) * block_tokens, shape.key_heads, shape.head_size)
        # One piece, so that nothing is lost to rounding between layers. Zeros: what is read before it was written is
        # masked, but must be no NaN.
        keys, values = torch.zeros(size, dtype=dtype, device=device)
        self.keys, self.values = list(keys), list(values)
        self._free = list(range(blocks, NOBODYS, -1))
        self.blocks = blocks

    @property
    def free(self) -> int:
        """Blocks that nobody has."""
        return len(self._free)

    def blocks_for(self, tokens: int) -> int:
        """Blocks that so many tokens need."""
        return -(-tokens // self.block_tokens)

    def take(self, count: int) -> list[int]:
        """Blocks for a row, which must be free."""
        return [self._free.pop() for _ in range(count)]

    def give_back(self, blocks: Sequence[int]) -> None:
        """Let others have them."""
        self._free.extend(blocks)

    def places(self, blocks: Sequence[int], tokens: int) -> list[int]:
        """Places of the first tokens of a row."""
        each = self.block_tokens
        return [blocks[number // each] * each + number % each for number in range(tokens)]


def place_bytes(shape: ModelShape, itemsize: int) -> int:
    """Bytes of one token's keys and values."""
    return 2 * shape.layers * shape.key_heads * shape.head_size * itemsize
