"""Writing GGUF files (version 3, little-endian), atomically and tensor by tensor."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias, Union

import numpy as np
from numpy.typing import NDArray

from kataribe.base.errors import FormatError, InputError
from kataribe.files.atomic import atomic_file
from kataribe.files.ggml_blocks import BLOCK, packed_size
from kataribe.files.ggml_groups import Bytes
from kataribe.files.gguf import DEFAULT_ALIGNMENT, MAGIC, MAX_DIMENSIONS, TENSOR_KINDS
from kataribe.files.gguf_values import ARRAY, BOOL, NUMBERS, STRING

WritableValue: TypeAlias = str | bool | int | float | np.generic | NDArray[Any] | Sequence[Any]
TensorSource: TypeAlias = Union["PackedTensor", "DeferredTensor", NDArray[Any]]

_KIND_NUMBERS = {kind: number for number, kind in TENSOR_KINDS.items()}
_NUMBER_CODES = {np.dtype(name): code for code, name in NUMBERS.items()}
_PLAIN_KINDS = {np.dtype("f4"): "F32", np.dtype("f2"): "F16"}


@dataclass(frozen=True, eq=False)
class PackedTensor:
    """A tensor whose bytes are ready: `raw` as `ggml_blocks.quantize` gives them for `kind`."""

    kind: str
    shape: tuple[int, ...]
    raw: Bytes


@dataclass(frozen=True, eq=False)
class DeferredTensor:
    """A tensor whose bytes are made while the file is written, some of them at a time.

    Attributes:
        kind: A key of `ggml_blocks.BLOCK`.
        shape: Row-major, (out, in).
        pieces: Gives the packed bytes in order; asked once for each writing.
    """

    kind: str
    shape: tuple[int, ...]
    pieces: Callable[[], Iterator[Bytes]] = field(repr=False)


def write_gguf(
    path: Path,
    metadata: Mapping[str, WritableValue],
    tensors: Mapping[str, TensorSource],
    *,
    alignment: int = DEFAULT_ALIGNMENT,
    version: int = 3,
) -> None:
    """Writes a file that `open_gguf` and llama.cpp read.

    Args:
        path: Replaced wholly or not at all.
        metadata: A Python int becomes uint32 when it fits (else int32, uint64 or int64), a float
            float32; NumPy scalars and arrays keep their own type.
        tensors: float32 and float16 arrays as they are, anything else as `PackedTensor`, or as
            `DeferredTensor`, of which no more than one piece is in memory.
        alignment: Tensor data begin at multiples of it; recorded when it is not 32.
        version: 3, or 2, whose layout is the same.

    Raises `FormatError` or `InputError` for what cannot be written, `StorageError` for the disk.
    """
    if version not in {2, 3}:
        raise InputError(f"GGUF version {version} cannot be written; choose 2 or 3.")
    if alignment < 1 or alignment & (alignment - 1):
        raise InputError(f"An alignment of {alignment} is no power of two.")
    values = dict(metadata)
    if alignment != DEFAULT_ALIGNMENT:
        values["general.alignment"] = np.uint32(alignment)
    packed = {name: _packed(name, tensor) for name, tensor in tensors.items()}
    header = [MAGIC, struct.pack("<IQQ", version, len(packed), len(values))]
    header += [_string(key) + _typed(key, value) for key, value in values.items()]
    offset = 0
    for name, tensor in packed.items():
        header.append(_description(name, tensor, offset))
        offset += -(-packed_size(tensor.kind, tensor.shape) // alignment) * alignment
    with atomic_file(path) as file:
        file.write(b"".join(header))
        _pad(file, alignment)
        for name, tensor in packed.items():
            _write_tensor(file, name, tensor)
            _pad(file, alignment)


def _write_tensor(file: BinaryIO, name: str, tensor: PackedTensor | DeferredTensor) -> None:
    pieces = tensor.pieces() if isinstance(tensor, DeferredTensor) else iter([tensor.raw])
    written = 0
    for piece in pieces:
        file.write(np.ascontiguousarray(piece).reshape(-1).view(np.uint8).data)
        written += piece.nbytes
    if written != packed_size(tensor.kind, tensor.shape):
        raise _wrong_size(name, tensor, written)


def _wrong_size(name: str, tensor: PackedTensor | DeferredTensor, size: int) -> FormatError:
    return FormatError(
        f"Tensor {name!r} has {size} bytes, which is not what {tensor.kind} of shape "
        f"{tensor.shape} takes."
    )


def _packed(name: str, tensor: TensorSource) -> PackedTensor | DeferredTensor:
    if not isinstance(tensor, PackedTensor | DeferredTensor):
        array = np.asarray(tensor)
        kind = _PLAIN_KINDS.get(array.dtype)
        if kind is None:
            raise InputError(
                f"Tensor {name!r} is an array of {array.dtype}; give float32, float16 or a "
                "PackedTensor."
            )
        flat = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
        tensor = PackedTensor(kind, array.shape, flat)
    if not 1 <= len(tensor.shape) <= MAX_DIMENSIONS or 0 in tensor.shape:
        raise InputError(f"Tensor {name!r} has shape {tensor.shape}; 1 to 4 dimensions are needed.")
    if tensor.kind not in BLOCK:
        raise FormatError(
            f"Tensor {name!r} is of kind {tensor.kind}; known are {', '.join(BLOCK)}."
        )
    size = packed_size(tensor.kind, tensor.shape)
    if isinstance(tensor, PackedTensor) and tensor.raw.nbytes != size:
        raise _wrong_size(name, tensor, tensor.raw.nbytes)
    return tensor


def _description(name: str, tensor: PackedTensor | DeferredTensor, offset: int) -> bytes:
    dimensions = struct.pack(f"<I{len(tensor.shape)}Q", len(tensor.shape), *tensor.shape[::-1])
    return _string(name) + dimensions + struct.pack("<IQ", _KIND_NUMBERS[tensor.kind], offset)


def _pad(file: BinaryIO, alignment: int) -> None:
    file.write(b"\0" * (-file.tell() % alignment))


def _string(text: str) -> bytes:
    raw = text.encode("utf-8")
    return struct.pack("<Q", len(raw)) + raw


def _typed(key: str, value: WritableValue) -> bytes:
    if isinstance(value, str):
        return struct.pack("<I", STRING) + _string(value)
    if isinstance(value, np.ndarray | Sequence):
        return struct.pack("<I", ARRAY) + _array(key, value)
    code, raw = _number(key, value)
    return struct.pack("<I", code) + raw


def _array(key: str, value: Any) -> bytes:
    """Type, length and elements; numbers of one list share the type that holds them all."""
    if isinstance(value, np.ndarray):
        return _number_array(key, value)
    items = list(value)
    if all(isinstance(item, str) for item in items):
        return struct.pack("<IQ", STRING, len(items)) + b"".join(map(_string, items))
    if all(isinstance(item, list | tuple | np.ndarray) for item in items):
        inner = b"".join(_array(key, item) for item in items)
        return struct.pack("<IQ", ARRAY, len(items)) + inner
    if all(isinstance(item, bool) for item in items):
        return _number_array(key, np.array(items, dtype=np.bool_))
    if all(isinstance(item, int) for item in items):
        small = all(-(2**31) <= item < 2**31 for item in items)
        return _number_array(key, np.array(items, dtype=np.int32 if small else np.int64))
    if all(isinstance(item, int | float) for item in items):
        return _number_array(key, np.array(items, dtype=np.float32))
    raise InputError(f"The array {key!r} mixes types that GGUF cannot hold in one array.")


def _number_array(key: str, array: NDArray[Any]) -> bytes:
    code = _NUMBER_CODES.get(array.dtype.newbyteorder("<"))
    if code is None or array.ndim != 1:
        raise InputError(f"The array {key!r} ({array.dtype}, {array.ndim}-d) has no GGUF type.")
    return struct.pack("<IQ", code, len(array)) + array.astype(NUMBERS[code]).tobytes()


def _number(key: str, value: Any) -> tuple[int, bytes]:
    if isinstance(value, bool):
        return BOOL, bytes([value])
    if isinstance(value, np.generic):
        number = value
    elif isinstance(value, int):
        number = _fitting(key, value)
    elif isinstance(value, float):
        number = np.float32(value)
    else:
        raise InputError(f"{key!r} holds a {type(value).__name__}, which GGUF cannot hold.")
    code = _NUMBER_CODES.get(number.dtype)
    if code is None:
        raise InputError(f"{key!r} holds a {number.dtype}, which GGUF cannot hold.")
    return code, number.astype(NUMBERS[code]).tobytes()


def _fitting(key: str, value: int) -> np.generic:
    for kind in (np.uint32, np.int32, np.uint64, np.int64):
        bounds = np.iinfo(kind)
        if bounds.min <= value <= bounds.max:
            return kind(value)
    raise InputError(f"{key!r} is {value}, which needs more than 64 bits.")
