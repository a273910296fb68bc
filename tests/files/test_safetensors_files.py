"""Safetensors against the reference library, and headers that lie."""

from __future__ import annotations

import json
import random
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

from kataribe.base.errors import (
    FormatError,
    InputError,
    KataribeError,
    NotFoundError,
    StorageError,
    UnsupportedError,
)
from kataribe.files.ggml_blocks import bfloat16_from_float32
from kataribe.files.safetensors import DTYPE_BYTES, open_safetensors, save_safetensors

VALUES = np.random.default_rng(1).standard_normal((3, 5)).astype(np.float32)


def packed(header: object, data: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


def entry(begin: int, end: int, shape: object = None, dtype: object = "U8") -> dict:
    shape = [end - begin] if shape is None else shape
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def test_the_library_reads_what_we_write(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    arrays = {
        "f32": VALUES, "f16": VALUES.astype(np.float16), "f64": VALUES.astype(np.float64),
        "i64": np.arange(4), "i8": np.arange(3, dtype=np.int8), "flag": np.array([True, False]),
        "scalar": np.float32(3).reshape(()), "none": np.zeros((0, 4), np.float32),
        "語": np.arange(2, dtype=np.uint16), "turned": VALUES.T,
    }  # fmt: skip
    brain = ("BF16", VALUES.shape, bfloat16_from_float32(VALUES))
    save_safetensors(path, arrays, {"format": "pt"})
    theirs = safetensors.numpy.load_file(path)
    ours = open_safetensors(path)
    assert ours.metadata == {"format": "pt"}
    assert set(ours.tensors) == set(arrays) == set(theirs)
    for name, array in arrays.items():
        assert np.array_equal(theirs[name], array)
        assert np.array_equal(ours.tensors[name].array(), array)
        assert ours.tensors[name].float32().dtype == np.float32
    save_safetensors(path, {**arrays, "brain": brain})
    with safetensors.safe_open(path, "numpy") as file:
        assert file.get_slice("brain").get_dtype() == "BF16"
    found = open_safetensors(path).tensors["brain"]
    assert found.raw().tobytes() == brain[2].tobytes()
    assert np.allclose(found.float32(), VALUES, rtol=1 / 128)
    with pytest.raises(UnsupportedError, match="float32"):
        found.array()


def test_we_read_what_the_library_writes(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    safetensors.numpy.save_file({"a": VALUES, "b": VALUES.astype(np.float16)}, path, {"k": "v"})
    found = open_safetensors(path)
    assert np.array_equal(found.tensors["a"].array(), VALUES)
    assert np.array_equal(found.tensors["b"].float32(), VALUES.astype(np.float16))
    assert found.metadata == {"k": "v"}
    assert not found.tensors["a"].raw().flags.writeable


def test_what_the_format_cannot_hold_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    with pytest.raises(InputError, match="complex64"):
        save_safetensors(path, {"w": np.zeros(2, np.complex64)})
    with pytest.raises(InputError, match="4 bytes"):
        save_safetensors(path, {"w": ("BF16", (3,), np.zeros(4, np.uint8))})
    assert not path.exists()


HOSTILE: dict[str, tuple[bytes, str]] = {
    "length of 2^60": ((2**60).to_bytes(8, "little") + b"{}", "claims"),
    "length past the end": ((3).to_bytes(8, "little") + b"{}", "claims 3 bytes"),
    "seven bytes": (b"\0" * 7, "has 7 bytes"),
    "empty header": (packed(b""), "not JSON"),
    "not JSON": (packed(b"{abc}"), "not JSON"),
    "not UTF-8": (packed(b'{"\xff": 1}'), "not JSON"),
    "a list": (packed([]), "a list and not"),
    "deep lists": (packed(b"[" * 200_000), "nested"),
    "deep objects": (packed(b'{"a":' * 100_000), "nested"),
    "NaN": (packed(b'{"a": NaN}'), "NaN"),
    "long integer": (
        packed(b'{"a":{"dtype":"U8","shape":[' + b"9" * 9000 + b'],"data_offsets":[0,1]}}', b"a"),
        "not JSON",
    ),
    "same name": (
        packed(
            b'{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},'
            b'"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}',
            b"a",
        ),
        "'a' twice",
    ),
    "no dictionary": (packed({"a": 1}), "must have"),
    "field missing": (packed({"a": {"dtype": "U8", "shape": [1]}}), "must have"),
    "field too many": (packed({"a": {**entry(0, 1), "more": 1}}, b"a"), "must have"),
    "metadata list": (packed({"__metadata__": []}), "__metadata__"),
    "metadata number": (packed({"__metadata__": {"a": 1}}), "__metadata__"),
    "unknown dtype": (packed({"a": entry(0, 1, dtype="Q4_0")}, b"a"), "dtype 'Q4_0'"),
    "dtype a list": (packed({"a": entry(0, 1, dtype=[])}, b"a"), "dtype"),
    "negative shape": (packed({"a": entry(0, 1, [-1, -1])}, b"a"), "shape"),
    "float shape": (packed({"a": entry(0, 1, [1.0])}, b"a"), "shape"),
    "boolean shape": (packed({"a": entry(0, 1, [True])}, b"a"), "shape"),
    "text shape": (packed({"a": entry(0, 1, "1")}, b"a"), "shape"),
    "product overflow": (packed({"a": entry(0, 1, [2**62, 2**62])}, b"a"), "takes"),
    "product wraps": (packed({"a": entry(0, 0, [2**32, 2**32])}), "takes"),
    "many dimensions": (packed({"a": entry(0, 1, [1] * 33)}, b"a"), "shape"),
    "one offset": (
        packed({"a": {"dtype": "U8", "shape": [1], "data_offsets": [0]}}, b"a"),
        "data_offsets",
    ),
    "backwards": (packed({"a": entry(1, 0, [1])}, b"a"), "data_offsets"),
    "past the end": (packed({"a": entry(0, 9)}, b"abc"), "the file holds 3"),
    "end of 2^62": (packed({"a": entry(0, 2**62, [2**62])}, b"abc"), "the file holds 3"),
    "overlap": (packed({"a": entry(0, 4), "b": entry(2, 6)}, b"abcdef"), "overlaps"),
    "same place": (packed({"a": entry(0, 4), "b": entry(0, 4)}, b"abcd"), "overlaps"),
    "hole": (packed({"a": entry(0, 2), "b": entry(3, 4)}, b"abcd"), "hole"),
    "left over": (packed({"a": entry(0, 2)}, b"abcd"), "tensors end"),
    "wrong size": (packed({"a": entry(0, 4, [2], "F32")}, b"abcd"), "takes 4 bytes, but F32"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_lie_is_an_error(tmp_path: Path, name: str) -> None:
    raw, word = HOSTILE[name]
    path = tmp_path / "evil.safetensors"
    path.write_bytes(raw)
    tracemalloc.start()
    try:
        with pytest.raises(FormatError, match=word) as caught:
            open_safetensors(path)
        assert tracemalloc.get_traced_memory()[1] < 32 << 20
    finally:
        tracemalloc.stop()
    assert "evil.safetensors" in caught.value.message
    assert len(caught.value.message) < 2000


def test_a_sparse_gigabyte_of_header_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "evil.safetensors"
    path.write_bytes((2**30).to_bytes(8, "little"))
    with path.open("r+b") as file:
        file.truncate(2**31)
    with pytest.raises(FormatError, match="claims 1073741824"):
        open_safetensors(path)


def test_every_truncation_and_random_damage(tmp_path: Path) -> None:
    seed = 5
    print("seed", seed)
    path = tmp_path / "m.safetensors"
    save_safetensors(path, {"a": VALUES, "b": np.arange(7, dtype=np.int8)}, {"format": "pt"})
    sound = path.read_bytes()
    for size in range(len(sound)):
        path.write_bytes(sound[:size])
        with pytest.raises(FormatError):
            open_safetensors(path)
    dice = random.Random(seed)
    for _ in range(600):
        raw = bytearray(sound)
        raw[dice.randrange(len(raw) - 70)] = dice.randrange(256)
        path.write_bytes(raw)
        try:
            for tensor in open_safetensors(path).tensors.values():
                tensor.raw()
        except KataribeError:
            pass


def test_every_dtype_has_its_size(tmp_path: Path) -> None:
    for dtype, size in DTYPE_BYTES.items():
        path = tmp_path / "m.safetensors"
        path.write_bytes(packed({"a": entry(0, 2 * size, [2], dtype)}, b"\0" * 2 * size))
        assert open_safetensors(path).tensors["a"].raw().nbytes == 2 * size


def test_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        open_safetensors(tmp_path / "no.safetensors")
    with pytest.raises(StorageError):
        open_safetensors(tmp_path)
