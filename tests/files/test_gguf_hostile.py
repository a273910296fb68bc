"""Headers that lie: each is a `FormatError`, quickly and within a few megabytes."""

from __future__ import annotations

import random
import struct
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from kataribe.base.errors import FormatError, KataribeError
from kataribe.files.gguf import open_gguf
from kataribe.files.gguf_writer import write_gguf

HUGE = 2**64 - 1


def text(value: str | bytes) -> bytes:
    raw = value.encode() if isinstance(value, str) else value
    return struct.pack("<Q", len(raw)) + raw


def header(tensors: int = 0, keys: int = 0, *, magic: bytes = b"GGUF", version: int = 3) -> bytes:
    return magic + struct.pack("<IQQ", version, tensors, keys)


def key(name: str | bytes, kind: int, raw: bytes) -> bytes:
    return text(name) + struct.pack("<I", kind) + raw


def tensor(name: str, dims: tuple[int, ...], kind: int, offset: int) -> bytes:
    return text(name) + struct.pack(f"<I{len(dims)}QIQ", len(dims), *dims, kind, offset)


def array(kind: int, count: int, raw: bytes = b"") -> bytes:
    return struct.pack("<IQ", kind, count) + raw


def with_data(description: bytes, tensors: int, size: int = 4096) -> bytes:
    whole = header(tensors) + description
    return whole + b"\0" * (-len(whole) % 32) + b"\0" * size


def nested(levels: int) -> bytes:
    raw = array(4, 1, struct.pack("<I", 1))
    for _ in range(levels):
        raw = array(9, 1, raw)
    return raw


HOSTILE: dict[str, tuple[bytes, str]] = {
    "magic": (header(magic=b"PK\x03\x04"), "begins with"),
    "big-endian magic": (header(magic=b"FUGG"), "big-endian"),
    "big-endian version": (b"GGUF" + struct.pack(">IQQ", 3, 0, 0), "big-endian"),
    "version 1": (header(version=1), "version 1"),
    "version 99": (header(version=99), "version 99"),
    "tensor count": (header(tensors=HUGE), "claims"),
    "tensor count beyond the file": (header(tensors=1000), "at most 0"),
    "key count": (header(keys=HUGE), "claims"),
    "key count beyond the file": (header(keys=60_000), "claims"),
    "key length": (header(keys=1) + struct.pack("<Q", HUGE) + b"a" * 99, "beyond the limit"),
    "key past the end": (header(keys=1) + struct.pack("<Q", 60_000) + b"a" * 99, "ends at byte"),
    "key not UTF-8": (header(keys=1) + key(b"\xff\xfe", 4, b"\0" * 4), "not UTF-8"),
    "key twice": (header(keys=2) + key("k", 4, b"\0" * 4) * 2, "twice"),
    "unknown type": (header(keys=1) + key("k", 13, b"\0" * 9), "unknown type 13"),
    "boolean of 7": (header(keys=1) + key("k", 7, b"\7") + b"\0" * 9, "as a boolean"),
    "booleans of 7": (header(keys=1) + key("k", 9, array(7, 2, b"\1\7")), "as a boolean"),
    "string length": (header(keys=1) + key("k", 8, struct.pack("<Q", 2**62)), "beyond the limit"),
    "string past the end": (header(keys=1) + key("k", 8, struct.pack("<Q", 500)), "ends at byte"),
    "array of numbers": (header(keys=1) + key("k", 9, array(4, HUGE)), "claims"),
    "array of strings": (header(keys=1) + key("k", 9, array(8, HUGE)), "claims"),
    "string in array": (
        header(keys=1) + key("k", 9, array(8, 2, text("a") + struct.pack("<Q", HUGE) + b"x" * 9)),
        "ends inside",
    ),
    "wrapping string in array": (
        header(keys=1) + key("k", 9, array(8, 2, struct.pack("<QQ", 2**64 - 8, 0))),
        "ends inside",
    ),
    "array of unknown": (header(keys=1) + key("k", 9, array(77, 1, b"\0" * 64)), "unknown type 77"),
    "token not UTF-8": (
        header(keys=1) + key("k", 9, array(8, 2, text("a") + text(b"\x80"))),
        "string 1 of",
    ),
    "deep arrays": (header(keys=1) + key("k", 9, nested(5000)), "nested deeper"),
    "many arrays": (header(keys=1) + key("k", 9, array(9, 2**40)), "claims"),
    "alignment 0": (header(keys=1) + key("general.alignment", 4, b"\0" * 4), "power of two"),
    "alignment 24": (
        header(keys=1) + key("general.alignment", 4, struct.pack("<I", 24)),
        "power of two",
    ),
    "alignment huge": (
        header(keys=1) + key("general.alignment", 10, struct.pack("<Q", 2**63)),
        "power of two",
    ),
    "alignment text": (header(keys=1) + key("general.alignment", 8, text("32")), "a number"),
    "no dimensions": (with_data(tensor("w", (), 0, 0) + b"\0" * 8, 1), "0 dimensions"),
    "dimensions": (
        with_data(text("w") + struct.pack("<I", 2**32 - 1) + b"\0" * 64, 1),
        "4294967295 dimensions",
    ),
    "dimension 0": (with_data(tensor("w", (0, 4), 0, 0), 1), "at least 1"),
    "product beyond 64 bits": (with_data(tensor("w", (2**63, 2**63, 4, 4), 0, 0), 1), "holds 4096"),
    "product that wraps to 0": (with_data(tensor("w", (2**32, 2**32), 0, 0), 1), "holds 4096"),
    "offset": (with_data(tensor("w", (4,), 0, 2**64 - 32), 1), "holds 4096"),
    "offset beyond": (with_data(tensor("w", (4,), 0, 4096), 1), "holds 4096"),
    "misaligned": (with_data(tensor("w", (4,), 0, 8), 1), "no multiple"),
    "half a block": (with_data(tensor("w", (40,), 2, 0), 1), "multiple of 32"),
    "unknown kind": (with_data(tensor("w", (4,), 4, 0), 1), "number 4"),
    "kind not built": (with_data(tensor("w", (256,), 23, 0), 1), "IQ4_XS"),
    "twice": (with_data(tensor("w", (8,), 0, 0) + tensor("w", (8,), 0, 32), 2), "twice"),
    "overlap": (with_data(tensor("a", (16,), 0, 0) + tensor("b", (8,), 0, 32), 2), "overlap"),
    "same place": (with_data(tensor("a", (8,), 0, 64) + tensor("b", (8,), 0, 64), 2), "overlap"),
    "no data": (header(1) + tensor("w", (4,), 0, 0), "holds 0"),
    "only magic": (b"GGUF", "ends at byte 4"),
    "one byte": (b"G", "ends at byte 1"),
}


@pytest.fixture
def small_memory() -> Iterator[None]:
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.usefixtures("small_memory")
@pytest.mark.parametrize("name", HOSTILE)
def test_a_lie_is_an_error(tmp_path: Path, name: str) -> None:
    raw, word = HOSTILE[name]
    path = tmp_path / "evil.gguf"
    path.write_bytes(raw)
    with pytest.raises(FormatError, match=word) as caught:
        open_gguf(path)
    assert "evil.gguf" in caught.value.message


def test_an_empty_file(tmp_path: Path) -> None:
    path = tmp_path / "evil.gguf"
    path.write_bytes(b"")
    with pytest.raises(FormatError, match="empty"):
        open_gguf(path)


def test_a_sparse_terabyte_of_claimed_strings_stays_small(tmp_path: Path) -> None:
    """Counts that the file's size would allow are still held to limits."""
    path = tmp_path / "evil.gguf"
    path.write_bytes(header(keys=1) + key("k", 9, array(8, 2**34)))
    with path.open("r+b") as file:
        file.truncate(2**40)
    tracemalloc.start()
    try:
        with pytest.raises(FormatError, match="at most 2097152"):
            open_gguf(path)
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()


def test_many_levels_of_small_arrays_are_counted_together(tmp_path: Path) -> None:
    leaf = array(4, 0)
    branch = array(9, 60_000, leaf * 60_000)
    path = tmp_path / "evil.gguf"
    path.write_bytes(header(keys=1) + key("k", 9, array(9, 40, branch * 40)))
    with pytest.raises(FormatError, match="more than 65536"):
        open_gguf(path)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("gguf") / "sound.gguf"
    metadata = {"a": 1, "b": ["x", "yy", "語"], "c": [[1, 2], [3]], "d": "text", "e": [0.5, 1.5]}
    tensors = {"w": np.ones((3, 32), np.float32), "v": np.ones(8, np.float16)}
    write_gguf(path, metadata, tensors)
    return path.read_bytes()


def test_every_truncation_is_an_error(tmp_path: Path, sound: bytes) -> None:
    path = tmp_path / "cut.gguf"
    last = len(sound) - (-16 % 32)  # the padding after the last tensor may be missing
    for size in range(1, last):
        path.write_bytes(sound[:size])
        with pytest.raises(FormatError):
            open_gguf(path)
    path.write_bytes(sound[:last])
    assert set(open_gguf(path).tensors) == {"w", "v"}


def test_random_damage_never_crashes(tmp_path: Path, sound: bytes) -> None:
    seed = 42
    print("seed", seed)
    dice = random.Random(seed)
    path = tmp_path / "damaged.gguf"
    refused = 0
    tracemalloc.start()
    try:
        for _ in range(800):
            raw = bytearray(sound)
            for _ in range(dice.randint(1, 4)):
                place = dice.randrange(len(raw) // 2)
                raw[place] = dice.choice([0, 255, 128, dice.randrange(256)])
            path.write_bytes(raw)
            try:
                for found in open_gguf(path).tensors.values():
                    found.float32()
            except KataribeError:
                refused += 1
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
    finally:
        tracemalloc.stop()
    assert refused > 250


def test_the_real_file_cut_short(tmp_path: Path, smollm2_path: Path) -> None:
    raw = smollm2_path.read_bytes()
    path = tmp_path / "cut.gguf"
    for size in (100, 10_000, 1_000_000, 1_500_000, 50_000_000, len(raw) - 64):
        path.write_bytes(raw[:size])
        with pytest.raises(FormatError, match=r"fetch it again|ends inside"):
            open_gguf(path)
