"""What the server needs from whoever knows the tokenizers of a workspace."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from kataribe.serve.shapes.tokenizers import CompareTokenizers, Pieces, TokenizerShown


class TokenizersSource(Protocol):
    """Knows the tokenizers. All calls may block."""

    def tokenizers(self) -> Sequence[TokenizerShown]:
        """All of them, by name."""
        ...

    def corpora(self) -> Sequence[str]:
        """Names of the corpora on which others can be trained."""
        ...

    def cut(self, name: str, text: str) -> Pieces:
        """A text cut by one of them; raises `NotFoundError`."""
        ...

    def comparing(self, wanted: CompareTokenizers) -> tuple[str, ...]:
        """The command that compares; raises `NotFoundError` for the corpus, `InputError`."""
        ...
