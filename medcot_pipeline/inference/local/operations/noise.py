"""Noise by counting: a number for each request, step and token, the same wherever and beside whatever it is drawn.

The integers are the same on every device; their logarithms may differ in the last bit between a CPU and a GPU.

Belongs here: the hash and the Gumbel noise out of it, in PyTorch.
Does not belong here: the same in a kernel (gpu.py), choosing by it.
"""

from typing import Any

WORD = 0xFFFFFFFF
MIX_1, MIX_2 = 0x85EBCA6B, 0xC2B2AE35
"""Multipliers of MurmurHash3's finaliser (Appleby 2011), which turns a counter into noise."""
BY_STEP, BY_TOKEN = 0x9E3779B9, 0x9E3779B1
"""Odd numbers near 2^32 divided by the golden ratio: neighbours in a sequence get far apart."""


def mix(word: Any) -> Any:
    """MurmurHash3's finaliser of 32-bit words, which are held in int64 (a product wraps there without harm)."""
    word = (word ^ (word >> 16)) * MIX_1 & WORD
    word = (word ^ (word >> 13)) * MIX_2 & WORD
    return word ^ (word >> 16)


def gumbel_noise(seeds: Any, steps: Any, tokens: Any) -> Any:
    """Standard Gumbel noise; a token drawn as argmax of logit + noise has its softmax probability (Gumbel 1954).

    Args:
        seeds: [rows], 32-bit, signed or not.
        steps: [rows].
        tokens: [rows, n] token ids.

    Returns:
        float32 [rows, n].
    """
    row = mix((seeds.long() & WORD) ^ mix(steps.long() * BY_STEP & WORD))[:, None]
    word = mix(mix(row + tokens.long() * BY_TOKEN & WORD) ^ row)
    uniform = ((word >> 8).float() + 0.5) * 2.0**-24
    return -(-uniform.log()).log()
