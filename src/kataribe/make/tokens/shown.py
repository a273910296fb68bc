"""Tokens as people can read them: a piece, its text, and the bytes of half a character."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kataribe.make.tokens.tokenizer import Tokenizer


@dataclass(frozen=True)
class ShownPiece:
    """One token of a text.

    Attributes:
        id: Its number.
        piece: As the vocabulary writes it.
        text: What it stands for; `<E3 81>` for bytes that make no whole character.
        special: It is a control token.
    """

    id: int
    piece: str
    text: str
    special: bool


def shown_pieces(tokenizer: Tokenizer, ids: Sequence[int]) -> tuple[ShownPiece, ...]:
    """The tokens one by one."""
    pieces = tokenizer.pieces(ids)
    return tuple(
        ShownPiece(each, piece, _text(tokenizer.token_bytes(each)), tokenizer.is_special(each))
        for each, piece in zip(ids, pieces, strict=True)
    )


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return f"<{data.hex(' ').upper()}>"
