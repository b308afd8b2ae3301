"""The operations of one decoding step on an NVIDIA GPU, as Triton kernels that ask the host nothing.

Each replaces several kernels of PyTorch; attention reads just the tokens that a row has, out of its blocks.

Belongs here: the same functions as in host.py; tests hold one against the other.
Does not belong here: their order (forward.py), recording them (graphs.py).
"""

from typing import Any

import torch
import triton
import triton.language as tl

from medcot_pipeline.inference.local.cache import SPLIT_TOKENS, Cache
from medcot_pipeline.inference.local.rows import POSITION, SEED, STEP, TABLE, TEMPERATURE, TOP_P
from medcot_pipeline.inference.local.weights import DecoderWeights

VOCABULARY_BLOCK = 8192
LEAST_SUMMED = 16
"""Numbers that a product of tensor cores sums over, at least; a smaller head is padded with zeros."""
_SEED, _STEP, _TEMPERATURE, _TOP_P = (tl.constexpr(each) for each in (SEED, STEP, TEMPERATURE, TOP_P))


def reading(state: Any, cache: Cache) -> tuple[Any, int]:
    """What `attend` needs: the rows' state, and places of a block."""
    return state, cache.block_tokens


def add_and_norm(hidden: Any, change: Any, weight: Any, epsilon: float) -> tuple[Any, Any]:
    """As in host.py."""
    rows, size = hidden.shape
    total, normed = torch.empty_like(hidden), torch.empty_like(hidden)
    other = hidden if change is None else change
    block = triton.next_power_of_2(size)
    _add_and_norm[(rows,)](
        hidden, other, weight, total, normed, other.stride(0), epsilon,
        size=size, block=block, adds=change is not None, num_warps=8 if block >= 2048 else 4,
    )  # fmt: skip
    return total, normed


@triton.jit
def _add_and_norm(
    hidden, change, weight, total, normed, change_stride, epsilon,
    size: tl.constexpr, block: tl.constexpr, adds: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0).to(tl.int64)
    column = tl.arange(0, block)
    inside = column < size
    x = tl.load(hidden + row * size + column, mask=inside, other=0.0)
    if adds:
        x = x + tl.load(change + row * change_stride + column, mask=inside, other=0.0)
    tl.store(total + row * size + column, x, mask=inside)
    wide = x.to(tl.float32)
    wide = wide * tl.rsqrt(tl.sum(wide * wide) / size + epsilon)
    scaled = wide.to(x.dtype) * tl.load(weight + column, mask=inside, other=0.0)
    tl.store(normed + row * size + column, scaled, mask=inside)


def rotate_and_store(joined: Any, weights: DecoderWeights, position: Any, places: Any, keys: Any, values: Any) -> Any:
    """As in host.py."""
    shape = weights.shape
    rows = joined.shape[0]
    query = torch.empty(rows, shape.heads, shape.head_size, dtype=joined.dtype, device=joined.device)
    _rotate_and_store[(rows, shape.heads + 2 * shape.key_heads)](
        joined, joined.stride(0), weights.cos, weights.sin, position, places, query, keys, values,
        heads=shape.heads, pairs=shape.key_heads, size=shape.head_size,
        half=triton.next_power_of_2(shape.head_size // 2), num_warps=1,
    )  # fmt: skip
    return query


@triton.jit
def _rotate_and_store(
    joined, joined_stride, cos, sin,
    position, places, query, keys, values,
    heads: tl.constexpr, pairs: tl.constexpr, size: tl.constexpr, half: tl.constexpr,
):  # fmt: skip
    row, head = tl.program_id(0).to(tl.int64), tl.program_id(1)
    column = tl.arange(0, half)
    inside = column < size // 2
    source = joined + row * joined_stride + head * size + column
    first = tl.load(source, mask=inside).to(tl.float32)
    second = tl.load(source + size // 2, mask=inside).to(tl.float32)
    angle = tl.load(position + row) * size + column
    place = tl.load(places + row)
    if head < heads + pairs:
        left = first * tl.load(cos + angle, mask=inside).to(tl.float32)
        left -= second * tl.load(sin + angle, mask=inside).to(tl.float32)
        right = second * tl.load(cos + angle + size // 2, mask=inside).to(tl.float32)
        right += first * tl.load(sin + angle + size // 2, mask=inside).to(tl.float32)
        if head < heads:
            target = query + (row * heads + head) * size + column
        else:
            target = keys + (place * pairs + head - heads) * size + column
    else:
        left, right = first, second
        target = values + (place * pairs + head - heads - pairs) * size + column
    tl.store(target, left.to(joined.dtype.element_ty), mask=inside)
    tl.store(target + size // 2, right.to(joined.dtype.element_ty), mask=inside)


def attend(query: Any, keys: Any, values: Any, rows: tuple[Any, int]) -> Any:
    """As in host.py."""
    state, block_tokens = rows
    count, heads, size = query.shape
    pairs = keys.shape[1]
    group = heads // pairs
    splits = triton.cdiv((state.shape[1] - TABLE) * block_tokens, SPLIT_TOKENS)
    partial = torch.empty(count, heads, splits, size, dtype=torch.float32, device=query.device)
    weight = torch.empty(count, heads, splits, 2, dtype=torch.float32, device=query.device)
    _attend_split[(count, pairs, splits)](
        query, keys, values, state, state.stride(0), partial, weight, size**-0.5,
        pairs=pairs, group=group, grouped=max(16, triton.next_power_of_2(group)), size=size,
        wide=max(LEAST_SUMMED, triton.next_power_of_2(size)), splits=splits, block=block_tokens, split=SPLIT_TOKENS,
        at_position=POSITION, at_table=TABLE, num_warps=4,
    )  # fmt: skip
    mixed = torch.empty(count, heads * size, dtype=query.dtype, device=query.device)
    _attend_join[(count, heads)](
        partial, weight, state, state.stride(0), mixed,
        heads=heads, size=size, wide=triton.next_power_of_2(size), splits=splits, split=SPLIT_TOKENS,
        at_position=POSITION, num_warps=1,
    )  # fmt: skip
    return mixed


@triton.jit
def _attend_split(
    query, keys, values, state, state_stride, partial, weight, scale,
    pairs: tl.constexpr, group: tl.constexpr, grouped: tl.constexpr, size: tl.constexpr, wide: tl.constexpr,
    splits: tl.constexpr, block: tl.constexpr, split: tl.constexpr, at_position: tl.constexpr, at_table: tl.constexpr,
):  # fmt: skip
    row, pair, part = tl.program_id(0).to(tl.int64), tl.program_id(1), tl.program_id(2)
    tokens = tl.load(state + row * state_stride + at_position) + 1
    start = part * split
    if start < tokens:
        member, column, token = tl.arange(0, grouped), tl.arange(0, wide), tl.arange(0, block)
        head = pair * group + member
        of_query = (member < group)[:, None] & (column < size)[None, :]
        q = tl.load(query + (row * pairs * group + head[:, None]) * size + column[None, :], mask=of_query, other=0.0)
        most = tl.full((grouped,), float("-inf"), tl.float32)
        total = tl.zeros((grouped,), tl.float32)
        mixed = tl.zeros((grouped, wide), tl.float32)
        for begin in range(start, tl.minimum(start + split, tokens), block):
            place = tl.load(state + row * state_stride + at_table + begin // block).to(tl.int64) * block + token
            known = begin + token < tokens
            offset = (place[:, None] * pairs + pair) * size + column[None, :]
            of_block = known[:, None] & (column < size)[None, :]
            k = tl.load(keys + offset, mask=of_block, other=0.0)
            score = tl.dot(q, tl.trans(k)) * scale
            score = tl.where(known[None, :], score, float("-inf"))
            higher = tl.maximum(most, tl.max(score, axis=1))
            share = tl.exp(score - higher[:, None])
            fade = tl.exp(most - higher)
            v = tl.load(values + offset, mask=of_block, other=0.0)
            mixed = mixed * fade[:, None] + tl.dot(share.to(v.dtype), v)
            total = total * fade + tl.sum(share, axis=1)
            most = higher
        target = (row * pairs * group + head) * splits + part
        tl.store(partial + target[:, None] * size + column[None, :], mixed, mask=of_query)
        tl.store(weight + target * 2, most, mask=member < group)
        tl.store(weight + target * 2 + 1, total, mask=member < group)


@triton.jit
def _attend_join(
    partial, weight, state, state_stride, mixed,
    heads: tl.constexpr, size: tl.constexpr, wide: tl.constexpr, splits: tl.constexpr, split: tl.constexpr,
    at_position: tl.constexpr,
):  # fmt: skip
    row, head = tl.program_id(0).to(tl.int64), tl.program_id(1)
    tokens = tl.load(state + row * state_stride + at_position) + 1
    column = tl.arange(0, wide)
    first = (row * heads + head) * splits
    most = tl.load(weight + first * 2)
    total = tl.load(weight + first * 2 + 1)
    whole = tl.load(partial + first * size + column, mask=column < size, other=0.0)
    for part in range(1, tl.cdiv(tokens, split)):
        its_most = tl.load(weight + (first + part) * 2)
        higher = tl.maximum(most, its_most)
        fade, count = tl.exp(most - higher), tl.exp(its_most - higher)
        whole = whole * fade + count * tl.load(partial + (first + part) * size + column, mask=column < size, other=0.0)
        total = total * fade + count * tl.load(weight + (first + part) * 2 + 1)
        most = higher
    tl.store(
        mixed + (row * heads + head) * size + column, (whole / total).to(mixed.dtype.element_ty), mask=column < size
    )


def gated(both: Any) -> Any:
    """As in host.py."""
    rows, size = both.shape[0], both.shape[1] // 2
    out = torch.empty(rows, size, dtype=both.dtype, device=both.device)
    _gated[(rows, triton.cdiv(size, 1024))](both, both.stride(0), out, size, block=1024, num_warps=4)
    return out


@triton.jit
def _gated(both, both_stride, out, size, block: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    column = tl.program_id(1) * block + tl.arange(0, block)
    inside = column < size
    gate = tl.load(both + row * both_stride + column, mask=inside, other=0.0).to(tl.float32)
    up = tl.load(both + row * both_stride + size + column, mask=inside, other=0.0)
    unit = (gate * tl.sigmoid(gate)).to(up.dtype)
    tl.store(out + row * size + column, unit * up, mask=inside)


def choose(logits: Any, state: Any) -> Any:
    """As in host.py; logits count by their upper 16 bits, which is all that bfloat16 has."""
    chosen = torch.empty(logits.shape[0], dtype=torch.int32, device=logits.device)
    _choose[(logits.shape[0],)](
        logits, logits.stride(0), state, state.stride(0), chosen, logits.shape[1], block=VOCABULARY_BLOCK, num_warps=16
    )
    return chosen


@triton.jit
def _mix(word):
    word = (word ^ (word >> 16)) * tl.full((), 0x85EBCA6B, tl.uint32)
    word = (word ^ (word >> 13)) * tl.full((), 0xC2B2AE35, tl.uint32)
    return word ^ (word >> 16)


@triton.jit
def _ordered(x):
    """The upper 16 bits of float32 numbers as integers in the same order."""
    bits = x.to(tl.int32, bitcast=True)
    return (bits ^ ((bits >> 31) & 0x7FFFFFFF)) >> 16


@triton.jit
def _choose(logits, logits_stride, state, state_stride, chosen, size, block: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    line = logits + row * logits_stride
    own = state + row * state_stride
    temperature = tl.load(own + _TEMPERATURE).to(tl.float32, bitcast=True)
    top_p = tl.load(own + _TOP_P).to(tl.float32, bitcast=True)
    column = tl.arange(0, block)
    scale = 1.0 / tl.maximum(temperature, 1e-6)

    highest = tl.full((block,), float("-inf"), tl.float32)
    for begin in range(0, size, block):
        x = tl.load(line + begin + column, mask=begin + column < size, other=float("-inf")).to(tl.float32)
        highest = tl.maximum(highest, x)
    most = tl.max(highest)
    least = -32768
    if (temperature > 0) & (top_p < 1.0):
        mass = tl.zeros((block,), tl.float32)
        for begin in range(0, size, block):
            x = tl.load(line + begin + column, mask=begin + column < size, other=float("-inf")).to(tl.float32)
            mass += tl.exp((x - most) * scale)
        wanted = tl.sum(mass) * top_p
        above = 32768  # fewer than `wanted` lie at or above it; `least` has them
        for _ in range(16):
            middle = (least + above) >> 1
            mass = tl.zeros((block,), tl.float32)
            for begin in range(0, size, block):
                x = tl.load(line + begin + column, mask=begin + column < size, other=float("-inf")).to(tl.float32)
                mass += tl.where(_ordered(x) >= middle, tl.exp((x - most) * scale), 0.0)
            enough = tl.sum(mass) >= wanted
            least = tl.where(enough, middle, least)
            above = tl.where(enough, above, middle)

    seed = tl.load(own + _SEED).to(tl.uint32, bitcast=True)
    step = tl.load(own + _STEP).to(tl.uint32, bitcast=True)
    word = _mix(seed ^ _mix(step * tl.full((), 0x9E3779B9, tl.uint32)))
    best = tl.full((block,), float("-inf"), tl.float32)
    best_token = tl.zeros((block,), tl.int32)
    for begin in range(0, size, block):
        token = begin + column
        x = tl.load(line + token, mask=token < size, other=float("-inf")).to(tl.float32)
        score = x
        if temperature > 0:
            own_word = _mix(_mix(word + token.to(tl.uint32) * tl.full((), 0x9E3779B1, tl.uint32)) ^ word)
            uniform = ((own_word >> 8).to(tl.float32) + 0.5) * (1.0 / 16777216.0)
            score = (x - most) * scale - tl.log(-tl.log(uniform))
            score = tl.where((_ordered(x) >= least) & (token < size), score, float("-inf"))
        better = score > best
        best = tl.where(better, score, best)
        best_token = tl.where(better, token, best_token)
    top = tl.max(best)
    tl.store(chosen + row, tl.min(tl.where(best == top, best_token, 2147483647)))
