"""Safetensors files: a JSON header, then the bytes of the tensors; nothing in it can run.

Format (https://github.com/huggingface/safetensors#format): eight bytes with the header's length,
the header, the data. The rules of the reference implementation are kept: no holes, no overlaps,
no bytes left over. Read without a copy by mapping the file into memory.
"""

from __future__ import annotations

import json
import math
import mmap
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from kataribe.base.errors import FormatError, InputError, NotFoundError, UnsupportedError
from kataribe.files.atomic import atomic_file, storage_error
from kataribe.files.ggml_blocks import float32_from_bfloat16
from kataribe.files.ggml_groups import Bytes, Floats

MAX_HEADER_BYTES = 32 << 20
"""The largest published headers have 3 MB; parsed JSON takes some ten times its length."""
MAX_DIMENSIONS = 32

DTYPE_BYTES: Mapping[str, int] = {
    "F64": 8, "F32": 4, "F16": 2, "BF16": 2, "F8_E4M3": 1, "F8_E5M2": 1,
    "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U64": 8, "U32": 4, "U16": 2, "U8": 1, "BOOL": 1,
}  # fmt: skip
"""Kind -> bytes per value."""
_NUMPY: Mapping[str, str] = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "I16": "<i2",
    "I8": "|i1", "U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "|u1", "BOOL": "|b1",
}  # fmt: skip

ArraySource: TypeAlias = NDArray[Any] | tuple[str, tuple[int, ...], Bytes]
"""A NumPy array, or (kind, shape, bytes) for what NumPy has no type for (BF16)."""


@dataclass(frozen=True, eq=False)
class SafeTensor:
    """One tensor: `dtype` is a key of `DTYPE_BYTES`, `offset` counts from the file's beginning."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    offset: int
    size: int
    _buffer: Bytes = field(repr=False)

    def raw(self) -> Bytes:
        """The bytes, row-major and little-endian: a read-only flat uint8 view."""
        return self._buffer[self.offset : self.offset + self.size]

    def array(self) -> NDArray[Any]:
        """The values in NumPy's own type, not copied; `UnsupportedError` for BF16 and F8."""
        if self.dtype not in _NUMPY:
            raise UnsupportedError(
                f"NumPy has no type for {self.dtype} (tensor {self.name!r}); use float32()."
            )
        return self.raw().view(_NUMPY[self.dtype]).reshape(self.shape)

    def float32(self) -> Floats:
        """The values as float32 of `shape`; `UnsupportedError` for F8."""
        if self.dtype == "BF16":
            return float32_from_bfloat16(self.raw()).reshape(self.shape)
        return self.array().astype(np.float32)


@dataclass(frozen=True, eq=False)
class SafetensorsFile:
    """An open file: `metadata` is the header's own texts, `tensors` are in order of their place.

    `data_offset` is where the tensor data begin.
    """

    path: Path
    data_offset: int
    metadata: Mapping[str, str]
    tensors: Mapping[str, SafeTensor]


def open_safetensors(path: Path) -> SafetensorsFile:
    """Opens a file and checks its whole header.

    Raises `FormatError` for anything that is not a sound safetensors file, `NotFoundError` and
    `StorageError` when it cannot be read.
    """
    buffer = _map(path)
    try:
        return _read(path, buffer)
    except FormatError as error:
        raise FormatError(f"{path} is not a sound safetensors file: {error.message}") from None


def save_safetensors(
    path: Path, tensors: Mapping[str, ArraySource], metadata: Mapping[str, str] | None = None
) -> None:
    """Writes a file that every reader of safetensors opens; wholly or not at all.

    Tensors are placed by falling size of their values, then by name, as the reference
    implementation does, so that all of them are aligned. Raises `InputError` for a type that
    the format has no name for, `StorageError` for the disk.
    """
    sources = {name: _source(name, value) for name, value in tensors.items()}
    order = sorted(sources, key=lambda name: (-DTYPE_BYTES[sources[name][0]], name))
    header: dict[str, Any] = {}
    if metadata:
        header["__metadata__"] = dict(metadata)
    offset = 0
    for name in order:
        dtype, shape, raw = sources[name]
        header[name] = {
            "dtype": dtype,
            "shape": list(shape),
            "data_offsets": [offset, offset + raw.nbytes],
        }
        offset += raw.nbytes
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode("utf-8")
    text += b" " * (-len(text) % 8)
    with atomic_file(path) as file:
        file.write(len(text).to_bytes(8, "little"))
        file.write(text)
        for name in order:
            file.write(sources[name][2].data)


def _source(name: str, value: ArraySource) -> tuple[str, tuple[int, ...], Bytes]:
    if isinstance(value, tuple):
        dtype, shape, raw = value
        flat = np.ascontiguousarray(raw).reshape(-1).view(np.uint8)
        if dtype not in DTYPE_BYTES or flat.nbytes != math.prod(shape) * DTYPE_BYTES[dtype]:
            raise InputError(
                f"Tensor {name!r} has {flat.nbytes} bytes, which is not what {dtype} of shape "
                f"{shape} takes."
            )
        return dtype, tuple(shape), flat
    little = np.dtype(value.dtype).newbyteorder("<")
    for dtype, numpy_name in _NUMPY.items():
        if np.dtype(numpy_name) == little:
            ordered = np.ascontiguousarray(value, dtype=little)
            return dtype, value.shape, ordered.reshape(-1).view(np.uint8)
    raise InputError(f"Tensor {name!r} is an array of {value.dtype}, which cannot be stored.")


def _map(path: Path) -> Bytes:
    try:
        with path.open("rb") as file:
            size = path.stat().st_size
            if not path.is_file() or size < 8:
                raise FormatError(
                    f"{path} has {size} bytes; a safetensors file has at least 8. It is cut "
                    "short or something else; fetch it again."
                )
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except FileNotFoundError:
        raise NotFoundError(f"{path} does not exist.") from None
    except (OSError, ValueError) as error:
        failure = error if isinstance(error, OSError) else OSError(str(error))
        raise storage_error(f"{path} cannot be read", failure) from error
    return np.frombuffer(mapped, dtype=np.uint8)


def _read(path: Path, buffer: Bytes) -> SafetensorsFile:
    length = int.from_bytes(buffer[:8].tobytes(), "little")
    room = len(buffer) - 8
    if length > min(room, MAX_HEADER_BYTES):
        raise FormatError(
            f"its header claims {length} bytes, but at most {min(room, MAX_HEADER_BYTES)} are "
            "possible. It is cut short or damaged; fetch it again."
        )
    header = _parse(buffer[8 : 8 + length].tobytes())
    metadata = _metadata(header.pop("__metadata__", {}))
    data_offset = 8 + length
    tensors = [_tensor(name, entry, data_offset, buffer) for name, entry in header.items()]
    tensors.sort(key=lambda tensor: (tensor.offset, tensor.size))
    position = data_offset
    for tensor in tensors:
        if tensor.offset != position:
            word = "overlaps the one before it" if tensor.offset < position else "leaves a hole"
            raise FormatError(f"tensor {tensor.name!r} at byte {tensor.offset} {word}.")
        position += tensor.size
    if position != len(buffer):
        raise FormatError(
            f"its tensors end at byte {position}, but the file at {len(buffer)}. It is cut short "
            "or damaged; fetch it again."
        )
    by_name = {tensor.name: tensor for tensor in tensors}
    return SafetensorsFile(path, data_offset, MappingProxyType(metadata), MappingProxyType(by_name))


def _parse(text: bytes) -> dict[str, Any]:
    try:
        header = json.loads(
            text.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_no_constant
        )
    except RecursionError:
        raise FormatError("its header is nested too deeply.") from None
    except ValueError as error:  # JSON, UTF-8, and integers of thousands of digits
        raise FormatError(f"its header is not JSON: {str(error)[:200]}.") from None
    if not isinstance(header, dict):
        raise FormatError(f"its header is a {type(header).__name__} and not an object.")
    return header


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in found if names.count(name) > 1)
        raise FormatError(f"its header holds {twice!r} twice.")
    return found


def _no_constant(name: str) -> Any:
    raise FormatError(f"its header holds {name}, which is not JSON.")


def _metadata(value: Any) -> dict[str, str]:
    if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
        raise FormatError("its __metadata__ must be an object of texts.")
    return value


def _tensor(name: str, entry: Any, data_offset: int, buffer: Bytes) -> SafeTensor:
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise FormatError(f"tensor {name!r} must have dtype, shape and data_offsets, and no more.")
    dtype = entry["dtype"]
    if not isinstance(dtype, str) or dtype not in DTYPE_BYTES:
        raise FormatError(
            f"tensor {name!r} has dtype {dtype!r:.40}; known are {', '.join(DTYPE_BYTES)}."
        )
    shape, offsets = entry["shape"], entry["data_offsets"]
    if not _naturals(shape) or len(shape) > MAX_DIMENSIONS:
        raise FormatError(f"tensor {name!r} has shape {shape!r:.80}; whole numbers are needed.")
    if not _naturals(offsets) or len(offsets) != 2 or offsets[0] > offsets[1]:
        raise FormatError(f"tensor {name!r} has data_offsets {offsets!r:.80}; begin and end.")
    begin, end = offsets
    if end > len(buffer) - data_offset:
        raise FormatError(
            f"tensor {name!r} ends at byte {end} of the data, but the file holds "
            f"{len(buffer) - data_offset}. It is cut short or damaged; fetch it again."
        )
    size = math.prod(shape) * DTYPE_BYTES[dtype]
    if end - begin != size:
        raise FormatError(
            f"tensor {name!r} takes {end - begin} bytes, but {dtype} of shape {shape} takes {size}."
        )
    return SafeTensor(name, dtype, tuple(shape), data_offset + begin, size, buffer)


def _naturals(value: Any) -> bool:
    return isinstance(value, list) and all(
        type(item) is int and 0 <= item < 1 << 63 for item in value
    )
