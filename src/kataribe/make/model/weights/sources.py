"""A parameter as it lies in a file: its bytes in the file's own kind, or its values."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from kataribe.files.ggml_blocks import BLOCK, dequantize
from kataribe.files.ggml_groups import Bytes, Floats
from kataribe.make.model.weights.names import Place

CHUNK_VALUES = 1 << 15
"""Packed rows are unpacked so many values at a time, in the processor's cache. It is also the
most that torch copies on one thread: on busy cores waking a second one cost 20 times the copy."""


@dataclass(frozen=True, eq=False)
class StoredTensor:
    """A tensor in a file: `kind` is GGUF's name of the type (F32, BF16, Q4_1, ...)."""

    shape: tuple[int, ...]
    kind: str
    read: Callable[[], Bytes] = field(repr=False)


@dataclass(frozen=True, eq=False)
class SourceTensor:
    """One parameter, read when it is asked for.

    Attributes:
        shape: As in `Decoder`.
        kind: Type of the bytes that `raw` gives: F32, F16, BF16, F64 or a kind of packed blocks.
    """

    shape: tuple[int, ...]
    kind: str
    _read: Callable[[], Bytes] = field(repr=False)

    @property
    def size_bytes(self) -> int:
        """Bytes that `raw` gives."""
        values, size = _block(self.kind)
        return math.prod(self.shape) // values * size

    def raw(self) -> Bytes:
        """uint8 (rows, bytes per row): the parameter's own rows, in its order and whole.

        A view into the mapped file where the file holds the rows so; blocks are never repacked.
        """
        return self._read().reshape(math.prod(self.shape[:-1]), -1)

    def rows(self, raw: Bytes) -> SourceTensor:
        """A matrix of some of the rows that `raw` gives."""
        return SourceTensor((raw.shape[0], *self.shape[1:]), self.kind, lambda: raw)

    def values(self) -> Floats:
        """All values, float32 of `shape`."""
        raw = self.raw()
        out = np.empty((raw.shape[0], self.shape[-1]), np.float32)
        step = max(1, CHUNK_VALUES // max(1, out.shape[1]))
        for start in range(0, raw.shape[0], step):
            out[start : start + step] = self.unpack(raw[start : start + step])
        return out.reshape(self.shape)

    def unpack(self, raw: Bytes) -> Floats:
        """float32 (rows, columns) of some of the rows that `raw` gives."""
        if self.kind == "F64":
            wide = np.ascontiguousarray(raw).view("<f8")
            return wide.astype(np.float32)
        values, size = _block(self.kind)
        return dequantize(raw, self.kind, (raw.shape[0], raw.shape[1] // size * values))


def place_tensor(stored: StoredTensor, place: Place) -> SourceTensor:
    """The parameter that lies at `place` of a file's tensor."""
    if place.turned or place.offset:
        return SourceTensor(place.shape, "F32", lambda: _computed(stored, place))
    return SourceTensor(place.shape, stored.kind, lambda: _rows(stored, place))


def _rows(stored: StoredTensor, place: Place) -> Bytes:
    """Whole rows of the stored tensor, picked and put in order; blocks stay as they are."""
    if len(stored.shape) == 1:  # a bias: each value is a row
        raw = stored.read().reshape(stored.shape[0], -1)
    else:
        raw = stored.read().reshape(math.prod(stored.shape[:-1]), -1)
    if place.rows is not None:
        raw = raw[place.rows[0] : place.rows[1]]
    if place.heads:
        head_dim = raw.shape[0] // place.heads
        order = np.arange(raw.shape[0]).reshape(place.heads, head_dim // 2, 2)
        raw = raw[order.swapaxes(1, 2).reshape(-1)]
    return raw


def _computed(stored: StoredTensor, place: Place) -> Bytes:
    """float32 bytes of a parameter that the file holds turned or less a constant."""
    whole = SourceTensor(stored.shape, stored.kind, stored.read).values()
    upright = whole.T if place.turned and whole.ndim == 2 else whole
    if place.rows is not None:
        upright = upright[place.rows[0] : place.rows[1]]
    values = np.ascontiguousarray(upright + np.float32(place.offset))
    return values.reshape(-1).view(np.uint8)


def _block(kind: str) -> tuple[int, int]:
    if kind == "F64":
        return 1, 8
    return BLOCK[kind]
