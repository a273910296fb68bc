"""GGUF files (versions 2 and 3): metadata and tensors in one file, as llama.cpp reads them.

Layout (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md), all little-endian: magic,
version, counts, key-value pairs, tensor descriptions, padding, tensor data. The whole header is
checked on opening; no number that a file claims is believed before it is compared with the
file's size, so a hostile header costs an error and not memory.
"""

from __future__ import annotations

import itertools
import math
import mmap
import weakref
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from kataribe.base.errors import FormatError, NotFoundError
from kataribe.files.atomic import storage_error
from kataribe.files.ggml_blocks import BLOCK, dequantize, packed_size
from kataribe.files.ggml_groups import Bytes, Floats
from kataribe.files.gguf_values import (
    MAX_KEY_BYTES,
    HeaderCursor,
    MetadataValue,
    read_value,
)

__all__ = ["DEFAULT_ALIGNMENT", "GGUFFile", "GGUFTensor", "MetadataValue", "open_gguf"]

MAGIC = b"GGUF"
DEFAULT_ALIGNMENT = 32
MAX_KEYS = 1 << 16
MAX_TENSORS = 1 << 17
"""Ten times what the largest published models have; a larger count is a damaged header."""
MAX_DIMENSIONS = 4

TENSOR_KINDS: Mapping[int, str] = {
    0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 6: "Q5_0", 7: "Q5_1", 8: "Q8_0", 9: "Q8_1",
    10: "Q2_K", 11: "Q3_K", 12: "Q4_K", 13: "Q5_K", 14: "Q6_K", 15: "Q8_K", 16: "IQ2_XXS",
    17: "IQ2_XS", 18: "IQ3_XXS", 19: "IQ1_S", 20: "IQ4_NL", 21: "IQ3_S", 22: "IQ2_S",
    23: "IQ4_XS", 24: "I8", 25: "I16", 26: "I32", 27: "I64", 28: "F64", 29: "IQ1_M",
    30: "BF16", 34: "TQ1_0", 35: "TQ2_0", 39: "MXFP4", 40: "NVFP4", 41: "Q1_0",
}  # fmt: skip
"""ggml's numbers and names; those in `BLOCK` can be read, the others are refused by name."""

Buffer: TypeAlias = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class GGUFTensor:
    """One tensor of a file.

    Attributes:
        name: As in the file.
        shape: Row-major as in torch and NumPy: (out, in), GGUF's own order reversed.
        kind: A key of `ggml_blocks.BLOCK`.
        offset: First byte, from the beginning of the file.
        size: Bytes.
    """

    name: str
    shape: tuple[int, ...]
    kind: str
    offset: int
    size: int
    _buffer: Buffer = field(repr=False)

    def raw(self) -> Bytes:
        """The packed bytes: read-only uint8 (rows, bytes per row), not copied."""
        rows = math.prod(self.shape[:-1])
        return self._buffer[self.offset : self.offset + self.size].reshape(rows, -1)

    def float32(self) -> Floats:
        """The values, unpacked: float32 of `shape`."""
        return dequantize(self.raw(), self.kind, self.shape)


@dataclass(frozen=True, eq=False)
class GGUFFile:
    """An open GGUF file, mapped into memory: bytes are read from the disk as they are used.

    Attributes:
        path: Where it lies.
        version: 2 or 3.
        alignment: Tensor data begin at multiples of this many bytes.
        data_offset: Where the tensor data begin: bytes of the whole header.
        metadata: Key -> value. Arrays of numbers are read-only NumPy arrays, others lists.
        tensors: Name -> tensor, in the file's order.
    """

    path: Path
    version: int
    alignment: int
    data_offset: int
    metadata: Mapping[str, MetadataValue]
    tensors: Mapping[str, GGUFTensor]


_Identity: TypeAlias = tuple[Path, int, int, int]
_held: weakref.WeakValueDictionary[_Identity, GGUFFile] = weakref.WeakValueDictionary()


def open_gguf(path: Path) -> GGUFFile:
    """Opens a file and checks its whole header.

    Raises `FormatError` (with the path, what is wrong and where) for anything that is not a
    sound GGUF file, `NotFoundError` and `StorageError` when it cannot be read. While somebody
    holds an open file, others who open it get the same: a vocabulary takes 0.1 s to read.
    """
    identity = _identity(path)
    known = _held.get(identity)
    if known is not None:
        return known
    buffer = _map(path)
    try:
        opened = _read(path, buffer)
    except FormatError as error:
        raise FormatError(f"{path} is not a sound GGUF file: {error.message}") from None
    _held[identity] = opened
    return opened


def _identity(path: Path) -> _Identity:
    """What changes when the file does."""
    try:
        found = path.stat()
    except OSError:
        return path, 0, 0, 0  # opening it will say what is wrong
    return path, found.st_ino, found.st_size, found.st_mtime_ns


def _map(path: Path) -> Buffer:
    try:
        with path.open("rb") as file:
            if not path.is_file() or path.stat().st_size == 0:
                raise FormatError(f"{path} is empty or no regular file; a GGUF file was expected.")
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except FileNotFoundError:
        raise NotFoundError(f"{path} does not exist.") from None
    except (OSError, ValueError) as error:
        failure = error if isinstance(error, OSError) else OSError(str(error))
        raise storage_error(f"{path} cannot be read", failure) from error
    return np.frombuffer(mapped, dtype=np.uint8)


def _read(path: Path, buffer: Buffer) -> GGUFFile:
    cursor = HeaderCursor(buffer)
    version = _read_version(cursor)
    tensor_count = cursor.count("tensors", MAX_TENSORS, least_bytes=32)
    key_count = cursor.count("metadata keys", MAX_KEYS, least_bytes=13)
    metadata: dict[str, MetadataValue] = {}
    for _ in range(key_count):
        key = cursor.string("a metadata key", MAX_KEY_BYTES)
        if key in metadata:
            raise FormatError(f"the metadata key {key!r} stands there twice.")
        metadata[key] = read_value(cursor, key)
    alignment = _alignment(metadata)
    descriptions = [_read_description(cursor) for _ in range(tensor_count)]
    data_offset = -(-cursor.position // alignment) * alignment
    tensors = _place(descriptions, buffer, data_offset, alignment)
    return GGUFFile(
        path,
        version,
        alignment,
        data_offset,
        MappingProxyType(metadata),
        MappingProxyType(tensors),
    )


def _read_version(cursor: HeaderCursor) -> int:
    magic = cursor.take(4, "the magic word")
    if magic == MAGIC[::-1]:
        raise FormatError("it was written big-endian; convert it to little-endian.")
    if magic != MAGIC:
        raise FormatError(f"it begins with {magic!r}, and not with {MAGIC!r}.")
    version = cursor.unsigned(4, "the version")
    if version in {2, 3}:
        return version
    if version & 0xFFFF == 0:
        raise FormatError("it was written big-endian; convert it to little-endian.")
    raise FormatError(f"it has version {version}; versions 2 and 3 can be read. Convert it anew.")


def _alignment(metadata: Mapping[str, MetadataValue]) -> int:
    value = metadata.get("general.alignment", DEFAULT_ALIGNMENT)
    if isinstance(value, bool) or not isinstance(value, int):
        raise FormatError(f"general.alignment is {value!r}; it must be a number.")
    if not 1 <= value <= 1 << 20 or value & (value - 1):
        raise FormatError(f"general.alignment is {value}; it must be a power of two to 1048576.")
    return value


@dataclass(frozen=True, slots=True)
class _Description:
    name: str
    shape: tuple[int, ...]
    kind: str
    offset: int
    size: int


def _read_description(cursor: HeaderCursor) -> _Description:
    name = cursor.string("a tensor name", MAX_KEY_BYTES)
    dimensions = cursor.unsigned(4, "a number of dimensions")
    if not 1 <= dimensions <= MAX_DIMENSIONS:
        raise FormatError(f"tensor {name!r} has {dimensions} dimensions; 1 to 4 are possible.")
    shape = tuple(cursor.unsigned(8, "a dimension") for _ in range(dimensions))[::-1]
    number = cursor.unsigned(4, "a tensor kind")
    offset = cursor.unsigned(8, "a tensor offset")
    if 0 in shape:
        raise FormatError(f"tensor {name!r} has shape {shape}; every dimension must be at least 1.")
    kind = TENSOR_KINDS.get(number)
    if kind is None or kind not in BLOCK:
        called = kind or f"number {number}"
        raise FormatError(
            f"tensor {name!r} is of kind {called}, which Kataribe does not read. "
            f"Take a variant of the model made of {', '.join(BLOCK)}."
        )
    return _Description(name, shape, kind, offset, packed_size(kind, shape))


def _place(
    descriptions: list[_Description], buffer: Buffer, data_offset: int, alignment: int
) -> dict[str, GGUFTensor]:
    """Compares every tensor's place with the file's size and with the other tensors' places."""
    room = len(buffer) - data_offset
    tensors: dict[str, GGUFTensor] = {}
    for told in descriptions:
        if told.name in tensors:
            raise FormatError(f"the tensor {told.name!r} stands there twice.")
        if told.offset % alignment:
            raise FormatError(
                f"tensor {told.name!r} begins at {told.offset}, no multiple of the alignment "
                f"{alignment}."
            )
        if told.offset + told.size > room:
            raise FormatError(
                f"tensor {told.name!r} takes bytes {told.offset} to {told.offset + told.size} of "
                f"the data, but the file holds {max(room, 0)}. It is cut short or damaged; "
                "fetch it again."
            )
        tensors[told.name] = GGUFTensor(
            told.name, told.shape, told.kind, data_offset + told.offset, told.size, buffer
        )
    in_order = sorted(tensors.values(), key=lambda tensor: tensor.offset)
    for first, second in itertools.pairwise(in_order):
        if first.offset + first.size > second.offset:
            raise FormatError(f"tensors {first.name!r} and {second.name!r} overlap.")
    return tensors


def metadata_summary(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Metadata with long arrays and texts left out: for people and for cards."""
    return {
        key: value
        for key, value in metadata.items()
        if isinstance(value, bool | int | float) or (isinstance(value, str) and len(value) <= 200)
    }
