"""Text out of tokens as they arrive, without ever showing half a character."""

from __future__ import annotations

import codecs
from typing import Protocol


class Spelling(Protocol):
    """What a tokenizer knows of how its tokens are written."""

    @property
    def strips_leading_space(self) -> bool:
        """Its notation puts a space in front of every text, which decoding takes away."""
        ...

    def is_special(self, token_id: int) -> bool:
        """Whether it is a control token."""
        ...

    def token_bytes(self, token_id: int) -> bytes:
        """The exact bytes of one token as it stands inside a text."""
        ...


class StreamDecoder:
    """Decodes one token after the other; the pieces joined equal `Tokenizer.decode` of all ids.

    A character whose bytes are spread over several tokens appears with the last of them. Each
    `push` costs the token's own bytes and nothing more, however long the text has become.
    """

    def __init__(
        self, tokenizer: Spelling, *, skip_special: bool = False, continues: bool = False
    ) -> None:
        """Starts an empty text.

        Args:
            tokenizer: Whose ids will come.
            skip_special: Leave control tokens out of the text.
            continues: The ids go on from a text before them, so that a leading space that the
                tokenizer's notation puts in front of every text is a real one here.
        """
        self._tokenizer = tokenizer
        self._skip_special = skip_special
        self._at_start = tokenizer.strips_leading_space and not continues
        self._utf8 = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def push(self, token_id: int) -> str:
        """The text that this token completes; empty while a character is unfinished."""
        if self._skip_special and self._tokenizer.is_special(token_id):
            return ""
        piece = self._tokenizer.token_bytes(token_id)
        if self._at_start and piece:
            piece = piece.removeprefix(b" ")
            self._at_start = False
        return self._utf8.decode(piece)

    def finish(self) -> str:
        """What is left: U+FFFD for a character that never became whole, else nothing."""
        return self._utf8.decode(b"", final=True)
