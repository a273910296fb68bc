"""Finding the texts of special tokens inside a text."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator


class SpecialTexts:
    """A set of special tokens' texts, with the search that tokenizers use: leftmost, longest."""

    def __init__(self, texts: Iterable[str]) -> None:
        self._texts = frozenset(text for text in texts if text)
        self._lengths = sorted({len(text) for text in self._texts}, reverse=True)
        first = "".join(sorted({re.escape(text[0]) for text in self._texts}))
        self._first = re.compile(f"[{first}]") if first else None
        self._heads = frozenset(text[:end] for text in self._texts for end in range(1, len(text)))
        self._tails = frozenset(text[at:] for text in self._texts for at in range(1, len(text)))

    def __contains__(self, text: str) -> bool:
        return text in self._texts

    def find(self, text: str) -> Iterator[tuple[int, int]]:
        """The spans of special texts in `text`, in order, none overlapping another."""
        if self._first is None:
            return
        position = 0
        while found := self._first.search(text, position):
            start = found.start()
            position = start + 1
            for length in self._lengths:
                end = start + length
                if end <= len(text) and text[start:end] in self._texts:
                    position = end
                    yield start, end
                    break

    def open_end(self, text: str) -> int:
        """Where the longest beginning of a special text starts that `text` ends with."""
        longest = self._lengths[0] if self._lengths else 0
        for start in range(max(0, len(text) - longest + 1), len(text)):
            if text[start:] in self._heads:
                return start
        return len(text)

    def open_start(self, text: str) -> int:
        """Where the longest end of a special text stops that `text` begins with."""
        longest = self._lengths[0] if self._lengths else 0
        for end in range(min(len(text), longest - 1), 0, -1):
            if text[:end] in self._tails:
                return end
        return 0
