"""Blocks of quantised weights as llama.cpp's ggml lays them out, to and from float32.

A row is cut into blocks of 32 or 256 values; each block holds its scales beside small integers,
see `ggml_groups`. The arithmetic keeps ggml's order of operations, so results
are equal bit by bit. Written in NumPy over many blocks at once, in steps of bounded size.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kataribe.base.errors import FormatError, UnsupportedError
from kataribe.files.ggml_groups import GROUPED, Bytes, Floats, split_blocks

BLOCK: Mapping[str, tuple[int, int]] = {
    "F32": (1, 4),
    "F16": (1, 2),
    "BF16": (1, 2),
    "Q8_0": (32, 34),
    "Q4_0": (32, 18),
    "Q4_1": (32, 20),
    "Q5_0": (32, 22),
    "Q5_1": (32, 24),
    "Q2_K": (256, 84),
    "Q3_K": (256, 110),
    "Q4_K": (256, 144),
    "Q5_K": (256, 176),
    "Q6_K": (256, 210),
}
"""Kind -> (values per block, bytes per block)."""

STEP_VALUES = 1 << 16
"""Values unpacked at a time: temporary arrays stay in the processor's cache and under 2 MiB."""


def packed_size(kind: str, shape: tuple[int, ...]) -> int:
    """Bytes that a tensor of `shape` takes; `FormatError` if a row is not whole blocks."""
    values, size = _block(kind)
    columns = shape[-1] if shape else 1
    if columns % values:
        raise FormatError(
            f"Rows of {columns} values cannot be {kind}, whose blocks hold {values} values; "
            f"the row length must be a multiple of {values}."
        )
    return math.prod(shape) // values * size


def dequantize(raw: Bytes, kind: str, shape: tuple[int, ...]) -> Floats:
    """Float32 values of packed bytes.

    Args:
        raw: uint8, any shape, `packed_size(kind, shape)` bytes in row-major order.
        kind: One of `BLOCK`.
        shape: Shape of the result, the last dimension being the one cut into blocks.

    Raises `FormatError` when the sizes disagree and `UnsupportedError` for an unknown kind.
    """
    expected = packed_size(kind, shape)
    if raw.size != expected:
        raise FormatError(
            f"A {kind} tensor of shape {shape} takes {expected} bytes, but {raw.size} were given."
        )
    values, size = BLOCK[kind]
    blocks = raw.reshape(-1, size)
    out = np.empty((len(blocks), values), dtype=np.float32)
    unpack = _UNPACK[kind]
    step = max(1, STEP_VALUES // values)
    with np.errstate(invalid="ignore", over="ignore"):  # a file's own NaN and inf pass through
        for start in range(0, len(blocks), step):
            piece = np.ascontiguousarray(blocks[start : start + step])
            out[start : start + step] = unpack(piece)
    return out.reshape(shape)


def quantize(values: NDArray[Any], kind: str) -> Bytes:
    """Packed bytes of values: uint8 (rows, bytes per row), rows being all but the last dimension.

    F32, F16, BF16, Q8_0 and Q4_0, equal bit by bit to ggml's reference quantisation; other kinds
    raise `UnsupportedError`, rows that are not whole blocks `FormatError`.
    """
    if kind not in _PACK:
        raise UnsupportedError(
            f"Kataribe does not write {kind} tensors; choose one of {', '.join(_PACK)}."
        )
    per_block, size = BLOCK[kind]
    array = np.asarray(values)
    total = packed_size(kind, array.shape)
    blocks = array.reshape(-1, per_block)
    out = np.empty((len(blocks), size), dtype=np.uint8)
    step = max(1, STEP_VALUES // per_block)
    for start in range(0, len(blocks), step):
        piece = np.ascontiguousarray(blocks[start : start + step], dtype=np.float32)
        if per_block > 1 and not np.isfinite(piece).all():
            raise FormatError(f"Values that are NaN or infinite cannot be quantised to {kind}.")
        out[start : start + step] = _PACK[kind](piece)
    rows = math.prod(array.shape[:-1])
    return out.reshape(rows, total // rows if rows else 0)


def float32_from_bfloat16(raw: Bytes) -> Floats:
    """Float32 of little-endian bfloat16 bytes: they are the upper halves of float32 numbers."""
    upper = np.ascontiguousarray(raw).reshape(-1).view("<u2")
    return (upper.astype(np.uint32) << 16).view(np.float32)


def bfloat16_from_float32(values: NDArray[Any]) -> Bytes:
    """Little-endian bfloat16 bytes of numbers, rounded to nearest even; NaN stays NaN."""
    bits = np.ascontiguousarray(values, dtype=np.float32).reshape(-1).view(np.uint32)
    is_nan = (bits & 0x7FFFFFFF) > 0x7F800000
    rounded = (bits + (0x7FFF + ((bits >> 16) & 1))) >> 16
    quiet = (bits >> 16) | 64  # keeps a NaN whose lower half held all its bits from becoming inf
    upper: NDArray[np.uint16] = np.where(is_nan, quiet, rounded).astype("<u2")
    return upper.view(np.uint8)


def _block(kind: str) -> tuple[int, int]:
    if kind not in BLOCK:
        raise UnsupportedError(
            f"Kataribe does not read tensors of kind {kind}; it reads {', '.join(BLOCK)}."
        )
    return BLOCK[kind]


def _f32(blocks: Bytes) -> Floats:
    return blocks.view("<f4").astype(np.float32, copy=False)


def _f16(blocks: Bytes) -> Floats:
    return blocks.view("<f2").astype(np.float32)


def _bf16(blocks: Bytes) -> Floats:
    return float32_from_bfloat16(blocks).reshape(-1, 1)


def _grouped(kind: str) -> Callable[[Bytes], Floats]:
    """Scale times value, plus the offset where the kind has one."""

    def unpack(blocks: Bytes) -> Floats:
        groups = split_blocks(blocks, kind)
        values = groups.scales[..., None] * groups.values.astype(np.float32)
        if groups.offsets is not None:
            values += groups.offsets[..., None]
        return values.reshape(len(blocks), -1)

    return unpack


_UNPACK: Mapping[str, Callable[[Bytes], Floats]] = {
    "F32": _f32,
    "F16": _f16,
    "BF16": _bf16,
    **{kind: _grouped(kind) for kind in GROUPED},
}


def _pack_f32(values: Floats) -> Bytes:
    return values.astype("<f4", copy=False).view(np.uint8)


def _pack_f16(values: Floats) -> Bytes:
    with np.errstate(over="ignore"):  # too large becomes infinite, as everywhere with float16
        return values.astype("<f2").view(np.uint8)


def _pack_bf16(values: Floats) -> Bytes:
    return bfloat16_from_float32(values).reshape(-1, 2)


def _inverse(step: Floats) -> Floats:
    """1 / step, and 0 where the step is so small (or 0) that its inverse has no number."""
    return np.divide(np.float32(1), step, out=np.zeros_like(step), where=np.abs(step) > 1e-37)


def _pack_q8_0(values: Floats) -> Bytes:
    step = np.abs(values).max(axis=1, keepdims=True) / np.float32(127)
    scaled = np.abs(values * _inverse(step))
    whole = np.floor(scaled)
    whole += scaled - whole >= np.float32(0.5)  # C's roundf: halves go outwards
    away = np.copysign(whole, values)
    return np.concatenate([_pack_f16(step), away.astype(np.int8).view(np.uint8)], axis=1)


def _pack_q4_0(values: Floats) -> Bytes:
    largest = np.abs(values).argmax(axis=1)[:, None]
    step = np.take_along_axis(values, largest, axis=1) / np.float32(-8)
    small = np.trunc(values * _inverse(step) + np.float32(8.5)).clip(0, 15).astype(np.uint8)
    return np.concatenate([_pack_f16(step), small[:, :16] | (small[:, 16:] << 4)], axis=1)


_PACK: Mapping[str, Callable[[Floats], Bytes]] = {
    "F32": _pack_f32,
    "F16": _pack_f16,
    "BF16": _pack_bf16,
    "Q8_0": _pack_q8_0,
    "Q4_0": _pack_q4_0,
}
