"""A checkpoint's weights into the native decoder, each kind of file in its own precision.

| in the file | `auto` | `int4` | `int8` | `bfloat16` |
|---|---|---|---|---|
| Q4_0, Q4_1, Q4_K | as they are, 4 bits in groups of 32 | as they are | as they are | bfloat16 |
| other blocks | as they are, 8 bits in groups of 16 | 4 bits | 8 bits | bfloat16 |
| ordinary numbers | bfloat16 | 4 bits | 8 bits | bfloat16 |
| head and embedding in others | as above | 8 bits | 8 bits | bfloat16 |

"As they are" means the file's own integers; scales and offsets become float16, which those of
Q4_0, Q4_1, Q5_0, Q5_1 and Q8_0 are already, while those of the K kinds, products of a float16 and a
small integer, are rounded by at most one part in 2,048. `8 bits` rounds to groups of 16,
`4 bits` to groups of 32.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from kataribe.files.ggml_blocks import BLOCK, bfloat16_from_float32
from kataribe.files.ggml_groups import GROUPED, Floats, split_blocks
from kataribe.make.model.weights.checkpoint import Checkpoint
from kataribe.make.model.weights.sources import SourceTensor
from kataribe.run.inference.native.library import Library, Unpacked, address

NativePrecision: TypeAlias = Literal["auto", "int4", "int8", "bfloat16"]
PRECISIONS: tuple[NativePrecision, ...] = get_args(NativePrecision)

_CHUNK_VALUES = 1 << 20
"""Weights that are taken apart at a time, by each thread."""
_PANEL = 32
_FOUR_BITS = frozenset({"Q4_0", "Q4_1", "Q4_K"})


class Format(IntEnum):
    """How a matrix is held; `source/matrix.h`."""

    Q4 = 0
    Q8 = 1
    Q8_OFFSET = 2
    BFLOAT16 = 3


_GROUP = {Format.Q4: 32, Format.Q8: 16, Format.Q8_OFFSET: 16}
_WITH_OFFSET = frozenset({"Q5_1", "Q5_K", "Q2_K"})

# Where each parameter of a layer goes; `source/decoder.h` counts the same.
MATRICES = (
    "attention.project.q", "attention.project.k", "attention.project.v", "attention.output",
    "mlp.gate_up.gate", "mlp.gate_up.up", "mlp.down",
)  # fmt: skip
VECTORS = (
    "attention_norm.weight", "attention_post_norm.weight", "mlp_norm.weight",
    "mlp_post_norm.weight", "attention.q_norm.weight", "attention.k_norm.weight",
    "attention.project.q.bias", "attention.project.k.bias", "attention.project.v.bias",
)  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Some rows of a matrix, taken apart.

    Attributes:
        values: uint8, int8 or the bytes of bfloat16, row by row.
        scales: float32 (rows, groups); None for bfloat16.
        offsets: float32 (rows, groups); None where the format has none.
    """

    values: NDArray[Any]
    scales: Floats | None = None
    offsets: Floats | None = None


def format_of(kind: str, precision: NativePrecision, *, table: bool = False) -> Format:
    """How a matrix stored as `kind` is held; `table` for the embedding and the head."""
    if precision == "bfloat16" or (precision == "auto" and kind not in GROUPED):
        return Format.BFLOAT16
    if kind in _FOUR_BITS:
        return Format.Q4
    if precision == "int8" or (precision == "int4" and table):
        return Format.Q8
    if precision == "int4":
        return Format.Q4
    return Format.Q8_OFFSET if kind in _WITH_OFFSET else Format.Q8


def pack_weights(
    library: Library,
    decoder: object,
    checkpoint: Checkpoint,
    precision: NativePrecision,
    threads: int,
) -> None:
    """Brings all parameters into a decoder made by the library's `new`."""
    tensors, config = checkpoint.tensors, checkpoint.config
    places = [(-1, 0, tensors["embed.weight"])]
    if config.tied:
        library.call("tie", decoder)
    else:
        places.append((-1, 1, tensors["head.weight"]))
    _vector(library, decoder, -1, 0, tensors["norm.weight"])
    for layer in range(config.layers):
        prefix = f"blocks.{layer}."
        for place, name in enumerate(MATRICES):
            places.append((layer, place, tensors[f"{prefix}{name}.weight"]))
        for place, name in enumerate(VECTORS):
            if prefix + name in tensors:
                _vector(library, decoder, layer, place, tensors[prefix + name])
    with ThreadPoolExecutor(threads) as pool:
        waiting = []
        for layer, place, source in places:
            form = format_of(source.kind, precision, table=layer < 0)
            library.call("reserve", decoder, layer, place, form, *source.shape)
            raw = source.raw()
            for first, last in _chunks(*source.shape):
                part = source.rows(raw[first:last])
                at = (library, decoder, layer, place, first)
                waiting.append(pool.submit(_pack, at, part, form))
            if len(waiting) > 4 * threads:
                for done in waiting[: -2 * threads]:
                    done.result()
                del waiting[: -2 * threads]
        for done in waiting:
            done.result()


@np.errstate(invalid="ignore", over="ignore")  # a file's own NaN and infinity stay such
def take_apart(library: Library, source: SourceTensor, form: Format) -> Rows:
    """A matrix as the library packs it in `form`."""
    rows, columns = source.shape
    if form is Format.BFLOAT16:
        raw = source.raw()
        return Rows(raw if source.kind == "BF16" else bfloat16_from_float32(source.values()))
    if form is Format.Q4 and source.kind not in _FOUR_BITS:
        return _in_four_bits(library, source.values())
    if source.kind not in GROUPED:
        return _in_eight_bits(source.values())
    groups = split_blocks(source.raw().reshape(-1, BLOCK[source.kind][1]), source.kind)
    values, scales, offsets = groups.values, groups.scales, groups.offsets
    if form is Format.Q8 and offsets is not None:
        return _in_eight_bits(source.values())
    if form is Format.Q4 and offsets is None:  # Q4_0 holds -8 to 7
        values, offsets = values + np.int8(8), -8 * scales
    apart = values.shape[-1] // _GROUP[form]
    scales = np.repeat(scales, apart, axis=-1).reshape(rows, -1)
    if offsets is not None:
        offsets = np.repeat(offsets, apart, axis=-1).reshape(rows, -1)
    return Rows(np.ascontiguousarray(values).reshape(rows, columns), scales, offsets)


def _in_four_bits(library: Library, values: Floats) -> Rows:
    """4 bits in groups of 32; see `source/rounding.h`."""
    weights = np.ascontiguousarray(values)
    whole = np.empty(weights.shape, dtype=np.uint8)
    scales = np.empty((len(weights), weights.shape[1] // 32), dtype=np.float32)
    offsets = np.empty_like(scales)
    pointers = map(address, (whole, scales, offsets))
    library.call("round", address(weights), scales.size, *pointers)
    return Rows(whole, scales, offsets)


def _in_eight_bits(values: Floats) -> Rows:
    """8 bits in groups of 16; the scale is rounded up to float16's 11 bits first."""
    grouped = values.reshape(len(values), -1, 16)  # (rows, groups, 16)
    exact = np.abs(grouped).max(axis=-1) / np.float32(127)
    scales = ((exact.view(np.uint32) + 0x1FFF) & np.uint32(0xFFFFE000)).view(np.float32)
    safe = np.where(scales > 0, scales, np.float32(1))
    whole = np.rint(grouped / safe[..., None]).clip(-127, 127).astype(np.int8)
    return Rows(whole.reshape(values.shape), scales)


def _chunks(rows: int, columns: int) -> Iterator[tuple[int, int]]:
    """Runs of rows that begin at a panel."""
    step = max(1, _CHUNK_VALUES // columns // _PANEL) * _PANEL
    for first in range(0, rows, step):
        yield first, min(first + step, rows)


def _pack(at: tuple[Library, object, int, int, int], source: SourceTensor, form: Format) -> None:
    library, decoder, layer, place, first = at
    rows = take_apart(library, source, form)
    pointers = Unpacked(address(rows.values), address(rows.scales), address(rows.offsets))
    library.call("pack", decoder, layer, place, first, source.shape[0], pointers)


def _vector(
    library: Library, decoder: object, layer: int, place: int, source: SourceTensor
) -> None:
    values = source.values()
    library.call("vector", decoder, layer, place, address(values), len(values))
