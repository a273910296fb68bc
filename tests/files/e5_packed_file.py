"""Writes small files in the packed form of e5, for tests of what reads them."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np

SIZES = {"hidden": 32, "layers": 2, "heads": 4, "inner": 64, "vocabulary": 12, "positions": 16,
         "types": 2}  # fmt: skip


def shapes(sizes: dict[str, int]) -> dict[str, tuple[int, ...]]:
    hidden, inner = sizes["hidden"], sizes["inner"]
    found: dict[str, tuple[int, ...]] = {
        "emb.word": (sizes["vocabulary"], hidden), "emb.pos": (sizes["positions"], hidden),
        "emb.type": (sizes["types"], hidden), "emb.ln.w": (hidden,), "emb.ln.b": (hidden,),
    }  # fmt: skip
    for layer in range(sizes["layers"]):
        for name, shape in {
            "q": (hidden, hidden), "k": (hidden, hidden), "v": (hidden, hidden),
            "ao": (hidden, hidden), "fi": (inner, hidden), "fo": (hidden, inner),
        }.items():  # fmt: skip
            found[f"l{layer}.{name}.w"] = shape
            found[f"l{layer}.{name}.b"] = shape[:1]
        for name in ("aln", "oln"):
            found[f"l{layer}.{name}.w"] = found[f"l{layer}.{name}.b"] = (hidden,)
    return found


def packed_file(
    *,
    sizes: dict[str, int] | None = None,
    magic: bytes = b"E5S1",
    version: int = 1,
    eps: float = 1e-12,
    block: int = 32,
    pieces: int = 10,
    ids: tuple[int, ...] = (0, 2, 1, 3),
    words: int = 20,
    normal: tuple[int, int] = (1, 9),
    count: int | None = None,
    change: dict[str, dict[str, Any]] | None = None,
    cut: int | None = None,
) -> tuple[bytes, dict[str, np.ndarray]]:
    """The bytes of a file, sound unless an argument says otherwise, and the values in it."""
    sizes = {**SIZES, **(sizes or {})}
    real = shapes({**SIZES})
    head = magic + struct.pack("<I7ifi", version, *sizes.values(), eps, block)
    head += struct.pack("<5iQ", pieces, *ids, words)
    head += b"\0" * (4 * (2 * 10 + 1) + 20) + struct.pack("<iI", *normal) + b"\0" * 9
    head += struct.pack("<i", len(real) if count is None else count)
    generator = np.random.default_rng(5)
    entries: list[tuple[str, int, int, bytes]] = []
    values: dict[str, np.ndarray] = {}
    for name, shape in real.items():
        if len(shape) == 2 and name.endswith((".w", ".word")):
            blocks = int(np.prod(shape)) // 32
            scale = generator.uniform(0.01, 0.1, (blocks, 1)).astype("<f2")
            nibbles = generator.integers(0, 16, (blocks, 32), dtype=np.uint8)
            packed = nibbles[:, :16] | (nibbles[:, 16:] << 4)
            raw = np.concatenate([scale.view(np.uint8), packed], axis=1).tobytes()
            values[name] = ((nibbles.astype(np.float32) - 8) * scale).reshape(shape)
            kind = 1
        else:
            values[name] = generator.normal(1, 0.3, shape).astype("<f4")
            raw, kind = values[name].tobytes(), 0
        entries.append((name, kind, int(np.prod(shape)), raw))
    start = len(head) + sum(2 + len(name) + 21 for name, *_ in entries)
    table, data = b"", b""
    for name, kind, number, raw in entries:
        told = {"name": name, "kind": kind, "values": number, "offset": start + len(data),
                "size": len(raw)} | (change or {}).get(name, {})  # fmt: skip
        shown = told["name"].encode()
        table += struct.pack("<H", len(shown)) + shown
        table += struct.pack("<BIQQ", told["kind"], told["values"], told["offset"], told["size"])
        data += raw
    return (head + table + data)[:cut], values
