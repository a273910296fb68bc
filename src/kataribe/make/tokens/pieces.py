"""From the pieces of a vocabulary to the bytes that they stand for.

A vocabulary writes its pieces in one of three notations: GPT-2's byte alphabet (every byte is one
printable character), SentencePiece's (U+2581 for a space, `<0x0A>` for a lone byte), and
WordPiece's (a mark in front of pieces that continue a word).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Literal, TypeAlias

Notation: TypeAlias = Literal["byte-level", "sentencepiece", "words", "plain"]

SPACE_MARK = "▁"
_BYTE_PIECE = re.compile(r"<0x([0-9A-Fa-f]{2})>")


@cache
def byte_alphabet() -> Mapping[str, int]:
    """GPT-2's characters for the 256 bytes (openai/gpt-2, `bytes_to_unicode`)."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    alphabet = {chr(byte): byte for byte in printable}
    others = (byte for byte in range(256) if byte not in set(printable))
    alphabet.update({chr(0x100 + index): byte for index, byte in enumerate(others)})
    return alphabet


def byte_level_bytes(piece: str) -> bytes:
    """The bytes of a piece in GPT-2's alphabet; a piece outside of it stands for its own text."""
    alphabet = byte_alphabet()
    try:
        return bytes([alphabet[character] for character in piece])
    except KeyError:
        return piece.encode()


def byte_of_piece(piece: str) -> int | None:
    """The byte that `<0x0A>` names; None for any other piece."""
    found = _BYTE_PIECE.fullmatch(piece)
    return None if found is None else int(found[1], 16)


def sentencepiece_bytes(piece: str) -> bytes:
    """The bytes of a SentencePiece piece, lone bytes included."""
    byte = byte_of_piece(piece)
    return bytes([byte]) if byte is not None else piece.replace(SPACE_MARK, " ").encode()


def word_bytes(piece: str, continuing: str) -> bytes:
    """The bytes of a WordPiece piece: a word's first piece brings the space before it."""
    if continuing and piece.startswith(continuing):
        return piece[len(continuing) :].encode()
    return b" " + piece.encode()
