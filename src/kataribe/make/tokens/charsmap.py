"""SentencePiece's compiled normalisation (NFKC and the like): the longest rule that fits, applied.

A map is a length, a trie (Darts-clone's double array: https://github.com/s-yata/darts-clone) and
replacement texts. The `tokenizers` library applies it to whole graphemes, which gives other ids
than SentencePiece and llama.cpp on Japanese with combining marks; this follows SentencePiece.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

import numpy as np

from kataribe.base.errors import FormatError


class Charsmap:
    """A map, ready to normalise."""

    def __init__(self, data: bytes) -> None:
        """Reads a map; `FormatError` when its parts do not fit its length."""
        if len(data) < 4:
            raise FormatError("The tokenizer's normalisation is shorter than its own header.")
        (size,) = struct.unpack_from("<I", data)
        if size % 4 or size == 0 or 4 + size > len(data):
            raise FormatError(
                f"The tokenizer's normalisation says that its trie has {size} bytes, but the "
                f"whole map has {len(data)}. The file is damaged."
            )
        self._units: Sequence[int] = np.frombuffer(data, "<u4", size // 4, 4).tolist()
        self._texts = data[4 + size :]

    def normalize(self, text: str) -> str:
        """The text with every longest known stretch replaced."""
        if text.isascii() and text.isprintable():
            return text  # no map has rules for these
        data = text.encode()
        parts: list[bytes] = []
        position = 0
        while position < len(data):
            length, replacement = self._longest(data, position)
            if length == 0:
                length = _character_length(data[position])
                replacement = data[position : position + length]
            parts.append(replacement)
            position += length
        return b"".join(parts).decode(errors="replace")

    def _longest(self, data: bytes, start: int) -> tuple[int, bytes]:
        """Length and replacement of the longest rule that fits at `start`; length 0 for none."""
        units = self._units
        node = _offset(units[0])
        best, value = 0, 0
        for position in range(start, len(data)):
            node ^= data[position]
            if node >= len(units):
                break
            unit = units[node]
            if unit & 0x800000FF != data[position]:
                break
            node ^= _offset(unit)
            if unit & 0x100 and node < len(units):
                best, value = position - start + 1, units[node] & 0x7FFFFFFF
        if best == 0:
            return 0, b""
        end = self._texts.find(b"\0", value)
        return best, self._texts[value : end if end >= 0 else None]


def _offset(unit: int) -> int:
    return (unit >> 10) << ((unit & 0x200) >> 6)


def _character_length(first: int) -> int:
    return 1 if first < 0x80 else 2 if first < 0xE0 else 3 if first < 0xF0 else 4
