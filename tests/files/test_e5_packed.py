"""The packed form of e5: what it holds is read, and headers that lie are refused cheaply."""

from __future__ import annotations

import random
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kataribe.base.errors import FormatError, NotFoundError
from kataribe.files.e5_packed import open_packed_encoder
from tests.files.e5_packed_file import SIZES, packed_file

HUGE = 2**31 - 1


def test_what_was_written_is_read(tmp_path: Path) -> None:
    raw, values = packed_file()
    (tmp_path / "x.bin").write_bytes(raw)
    found = open_packed_encoder(tmp_path / "x.bin")
    assert {name: getattr(found, name) for name in SIZES} == SIZES
    assert (found.eps, found.pieces) == (1e-12, 10)
    assert set(found.tensors) == set(values)
    for name, wanted in values.items():
        assert found.tensors[name].shape == wanted.shape
        assert np.array_equal(found.tensors[name].float32(), wanted)


HOSTILE: dict[str, tuple[dict[str, Any], str]] = {
    "magic": ({"magic": b"GGUF"}, "begins with"),
    "version": ({"version": 2}, "version 2"),
    "no layers": ({"sizes": {"layers": 0}}, "layers is 0"),
    "endless layers": ({"sizes": {"layers": HUGE}}, "layers is"),
    "negative hidden": ({"sizes": {"hidden": -32}}, "hidden is -32"),
    "hidden of no block": ({"sizes": {"hidden": 33, "heads": 3}}, "no multiple of 32"),
    "heads": ({"sizes": {"heads": 3}}, "cannot be shared by 3"),
    "larger hidden": ({"sizes": {"hidden": 64}}, "needs"),
    "more layers": ({"sizes": {"layers": 3}}, "has 53"),
    "epsilon": ({"eps": float("nan")}, "epsilon is nan"),
    "block": ({"block": 64}, "a block has 64"),
    "more pieces than rows": ({"pieces": 13}, "13 pieces"),
    "endless pieces": ({"pieces": HUGE}, "pieces"),
    "special ids": ({"ids": (0, 2, 1, 99)}, "special ids"),
    "length of pieces": ({"words": 2**63}, "ends at byte"),
    "normalisation": ({"normal": (HUGE, 9)}, "cannot lie in 9"),
    "negative normalisation": ({"normal": (-1, 9)}, "cannot lie"),
    "endless normalisation": ({"normal": (1, 2**32 - 1)}, "ends at byte"),
    "tensor count": ({"count": HUGE}, "tensors"),
    "negative count": ({"count": -1}, "tensors"),
    "strange tensor": ({"change": {"emb.pos": {"name": "emb.xyz"}}}, "no place for"),
    "tensor twice": ({"change": {"emb.ln.b": {"name": "emb.ln.w"}}}, "twice"),
    "kind": ({"change": {"l0.q.w": {"kind": 0}}}, "kind 0"),
    "unknown kind": ({"change": {"l0.q.w": {"kind": 9}}}, "kind 9"),
    "values": ({"change": {"l0.q.w": {"values": 7}}}, "7 values"),
    "size": ({"change": {"l0.q.w": {"size": 2**63}}}, "needs"),
    "offset": ({"change": {"l1.oln.b": {"offset": 2**63}}}, "within"),
    "empty": ({"cut": 0}, "empty"),
    "cut in the sizes": ({"cut": 20}, "ends at byte 20"),
    "cut in the table": ({"cut": 205}, "ends at byte"),
    "cut in the data": ({"cut": -1}, "within"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_header_that_lies_is_refused_cheaply(tmp_path: Path, name: str) -> None:
    arguments, message = HOSTILE[name]
    (tmp_path / "x.bin").write_bytes(packed_file(**arguments)[0])
    tracemalloc.start()
    try:
        with pytest.raises(FormatError, match=message) as caught:
            open_packed_encoder(tmp_path / "x.bin")
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
    finally:
        tracemalloc.stop()
    assert "x.bin" in caught.value.message


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"x\.bin"):
        open_packed_encoder(tmp_path / "x.bin")


def test_random_damage_is_a_format_error_or_harmless(tmp_path: Path) -> None:
    sound, _ = packed_file()
    for seed in range(300):
        draw = random.Random(seed)
        raw = bytearray(sound)
        for _ in range(draw.randint(1, 4)):
            raw[draw.randrange(0, 1800)] = draw.randrange(256)
        (tmp_path / "x.bin").write_bytes(raw)
        try:
            found = open_packed_encoder(tmp_path / "x.bin")
        except FormatError:
            continue
        for tensor in found.tensors.values():
            tensor.float32()
