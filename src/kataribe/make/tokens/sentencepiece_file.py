"""SentencePiece's `tokenizer.model`, a protocol buffer, read without the library.

Fields: `src/sentencepiece_model.proto` of google/sentencepiece.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kataribe.base.errors import FormatError, StorageError

_KINDS = {1: "unigram", 2: "bpe", 3: "word", 4: "char"}


@dataclass(frozen=True)
class SentencePieceFile:
    """What a file says.

    Attributes:
        pieces: Text, score and type (GGUF's numbers are SentencePiece's) by id.
        kind: unigram, bpe, word or char.
        byte_fallback: Unknown characters are written as bytes.
        named: Ids of the tokens `unknown`, `bos`, `eos` and `padding`, where there are any.
        charsmap: The compiled normalisation, or nothing.
        adds_prefix: A space is put before a text.
        removes_extra_spaces: Runs of spaces become one; those at the ends vanish.
    """

    pieces: tuple[tuple[str, float, int], ...]
    kind: str
    byte_fallback: bool
    named: dict[str, int]
    charsmap: bytes
    adds_prefix: bool
    removes_extra_spaces: bool

    def metadata(self) -> dict[str, Any]:
        """The same in GGUF's keys."""
        return {
            "tokenizer.ggml.model": "llama" if self.kind == "bpe" else "t5",
            "tokenizer.ggml.tokens": [piece for piece, _, _ in self.pieces],
            "tokenizer.ggml.scores": np.array([score for _, score, _ in self.pieces]),
            "tokenizer.ggml.token_type": np.array([kind for _, _, kind in self.pieces]),
            "tokenizer.ggml.precompiled_charsmap": np.frombuffer(self.charsmap, np.uint8),
            "tokenizer.ggml.add_space_prefix": self.adds_prefix,
            "tokenizer.ggml.remove_extra_whitespaces": self.removes_extra_spaces,
            "tokenizer.ggml.byte_fallback": self.byte_fallback,
            **{f"tokenizer.ggml.{name}_token_id": index for name, index in self.named.items()},
        }


def read_sentencepiece(path: Path) -> SentencePieceFile:
    """Reads a model file; `FormatError` when it is none."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise StorageError(f"{path} cannot be read: {error}.") from error
    try:
        return _read(data)
    except (IndexError, struct.error, UnicodeDecodeError, TypeError, KeyError) as error:
        raise FormatError(f"{path} is no SentencePiece model: {error!r}.") from error


def _read(data: bytes) -> SentencePieceFile:
    pieces: list[tuple[str, float, int]] = []
    trainer: dict[int, Any] = {}
    normalizer: dict[int, Any] = {}
    for number, value in _fields(data):
        if number == 1:
            fields = dict(_fields(value))
            (score,) = struct.unpack("<f", fields.get(2, b"\0\0\0\0"))
            pieces.append((fields[1].decode(), score, fields.get(3, 1)))
        elif number == 2:
            trainer = dict(_fields(value))
        elif number == 3:
            normalizer = dict(_fields(value))
    numbers = {"unknown": (40, 0), "bos": (41, 1), "eos": (42, 2), "padding": (43, -1)}
    named = {name: trainer.get(number, default) for name, (number, default) in numbers.items()}
    return SentencePieceFile(
        pieces=tuple(pieces),
        kind=_KINDS[trainer.get(3, 1)],
        byte_fallback=bool(trainer.get(35, 0)),
        named={name: index for name, index in named.items() if 0 <= index < len(pieces)},
        charsmap=normalizer.get(2, b""),
        adds_prefix=bool(normalizer.get(3, 1)),
        removes_extra_spaces=bool(normalizer.get(4, 1)),
    )


def _fields(data: bytes) -> Iterator[tuple[int, Any]]:
    """Numbers and values of a message's fields: integers, or bytes for everything else."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        kind = key & 7
        if kind == 0:
            value, at = _varint(data, at)
            yield key >> 3, value
            continue
        if kind == 2:
            length, at = _varint(data, at)
        elif kind in (1, 5):
            length = 8 if kind == 1 else 4
        else:
            raise TypeError(f"wire type {kind}")
        if at + length > len(data):
            raise IndexError("a field reaches beyond the end")
        yield key >> 3, data[at : at + length]
        at += length


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at
        if shift > 63:
            raise IndexError("an integer without end")
