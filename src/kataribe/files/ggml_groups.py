"""Blocks of quantised weights as ggml lays them out, taken apart: integers, scales and offsets.

Whatever the kind, a weight is `scale * value + offset`, with one scale (and offset, where the kind
has one) for each group of 16 or 32 values of a row. Nothing is rounded here. The layouts are those
of ggml's `ggml-common.h`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Bytes: TypeAlias = NDArray[np.uint8]
Floats: TypeAlias = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Groups:
    """Blocks taken apart.

    Attributes:
        values: uint8, or int8 where there is no offset: (blocks, groups, values per group).
        scales: float32 (blocks, groups).
        offsets: float32 (blocks, groups); None for kinds that have none.
    """

    values: NDArray[Any]
    scales: Floats
    offsets: Floats | None = None


def split_blocks(blocks: Bytes, kind: str) -> Groups:
    """Takes apart blocks, uint8 (blocks, bytes per block), of one of `GROUPED`."""
    return GROUPED[kind](blocks)


def _half(blocks: Bytes, start: int) -> Floats:
    """The float16 that stands at byte `start` of each block, as float32 (blocks, 1)."""
    pair = np.ascontiguousarray(blocks[:, start : start + 2])
    return pair.view("<f2").astype(np.float32)


def _nibbles(packed: Bytes) -> Bytes:
    """(blocks, n) bytes -> (blocks, 2n): all low halves, then all high halves."""
    return np.concatenate([packed & 0xF, packed >> 4], axis=1)


def _fifth_bits(packed: Bytes) -> Bytes:
    """(blocks, 4) bytes -> (blocks, 32): each bit moved to the place of 16."""
    return np.unpackbits(packed, axis=1, bitorder="little") << np.uint8(4)


def _planes(packed: Bytes, group: int, bits: int) -> Bytes:
    """Unpacks bytes that hold several small numbers, one in each plane of bits.

    (blocks, n) -> (blocks, n / group, 8 / bits, group): of every `group` bytes, first their
    lowest bits, then the next higher, and so on.
    """
    shifts = np.arange(0, 8, bits, dtype=np.uint8).reshape(1, 1, -1, 1)
    grouped = packed.reshape(len(packed), -1, 1, group)
    return (grouped >> shifts) & np.uint8((1 << bits) - 1)


def _q8_0(blocks: Bytes) -> Groups:
    return Groups(blocks[:, None, 2:].view(np.int8), _half(blocks, 0))


def _q4_0(blocks: Bytes) -> Groups:
    signed = _nibbles(blocks[:, 2:]).view(np.int8) - np.int8(8)
    return Groups(signed[:, None], _half(blocks, 0))


def _q4_1(blocks: Bytes) -> Groups:
    return Groups(_nibbles(blocks[:, 4:])[:, None], _half(blocks, 0), _half(blocks, 2))


def _q5_0(blocks: Bytes) -> Groups:
    whole = _nibbles(blocks[:, 6:]) | _fifth_bits(blocks[:, 2:6])
    return Groups((whole.view(np.int8) - np.int8(16))[:, None], _half(blocks, 0))


def _q5_1(blocks: Bytes) -> Groups:
    whole = _nibbles(blocks[:, 8:]) | _fifth_bits(blocks[:, 4:8])
    return Groups(whole[:, None], _half(blocks, 0), _half(blocks, 2))


def _q2_k(blocks: Bytes) -> Groups:
    scales = blocks[:, :16]
    step = _half(blocks, 80) * (scales & 0xF).astype(np.float32)
    low = _half(blocks, 82) * (scales >> 4).astype(np.float32)
    return Groups(_planes(blocks[:, 16:80], 32, 2).reshape(-1, 16, 16), step, -low)


def _q3_k(blocks: Bytes) -> Groups:
    packed = blocks[:, 96:108]
    low = _nibbles(packed[:, :8])
    high = _planes(packed[:, 8:], 4, 2).reshape(-1, 16)
    scales = (low | (high << 4)).view(np.int8) - np.int8(32)
    absent = _planes(blocks[:, :32], 32, 1).reshape(-1, 256) ^ 1  # a clear bit subtracts 4
    small = _planes(blocks[:, 32:96], 32, 2).reshape(-1, 256)
    signed = small.view(np.int8) - (absent << 2).view(np.int8)
    step = _half(blocks, 108) * scales.astype(np.float32)
    return Groups(signed.reshape(-1, 16, 16), step)


def _scales_and_mins(packed: Bytes) -> tuple[Floats, Floats]:
    """The 8 scales and 8 minima of six bits that Q4_K and Q5_K pack into 12 bytes."""
    first, second, third = packed[:, :4], packed[:, 4:8], packed[:, 8:]
    scales = np.concatenate([first & 63, (third & 0xF) | ((first >> 6) << 4)], axis=1)
    mins = np.concatenate([second & 63, (third >> 4) | ((second >> 6) << 4)], axis=1)
    return scales.astype(np.float32), mins.astype(np.float32)


def _q4_k(blocks: Bytes) -> Groups:
    scales, mins = _scales_and_mins(blocks[:, 4:16])
    small = _planes(blocks[:, 16:], 32, 4).reshape(-1, 8, 32)
    return Groups(small, _half(blocks, 0) * scales, -(_half(blocks, 2) * mins))


def _q5_k(blocks: Bytes) -> Groups:
    scales, mins = _scales_and_mins(blocks[:, 4:16])
    fifth = _planes(blocks[:, 16:48], 32, 1).reshape(-1, 8, 32) << 4
    small = _planes(blocks[:, 48:], 32, 4).reshape(-1, 8, 32) | fifth
    return Groups(small, _half(blocks, 0) * scales, -(_half(blocks, 2) * mins))


def _q6_k(blocks: Bytes) -> Groups:
    low = _planes(blocks[:, :128], 64, 4).reshape(-1, 256)
    high = _planes(blocks[:, 128:192], 32, 2).reshape(-1, 256)
    signed = (low | (high << 4)).view(np.int8) - np.int8(32)
    scales = blocks[:, 192:208].view(np.int8).astype(np.float32)
    return Groups(signed.reshape(-1, 16, 16), _half(blocks, 208) * scales)


GROUPED: Mapping[str, Callable[[Bytes], Groups]] = {
    "Q8_0": _q8_0,
    "Q4_0": _q4_0,
    "Q4_1": _q4_1,
    "Q5_0": _q5_0,
    "Q5_1": _q5_1,
    "Q2_K": _q2_k,
    "Q3_K": _q3_k,
    "Q4_K": _q4_k,
    "Q5_K": _q5_k,
    "Q6_K": _q6_k,
}
"""Kinds that are taken apart, and how."""
