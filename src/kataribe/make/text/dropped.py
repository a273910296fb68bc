"""What was dropped and why: counts, and a few samples of each kind."""

from __future__ import annotations

import heapq
import zlib
from dataclasses import dataclass, field
from typing import Any

SAMPLES = 5
"""Samples kept for each reason."""
_EXCERPT = 240


@dataclass
class Dropped:
    """One reason, how much went for it, and samples."""

    reason: str
    """Why, with the limit."""
    documents: int = 0
    """Texts that went."""
    characters: int = 0
    """Their characters."""
    _samples: list[tuple[int, str, str, str]] = field(default_factory=list)

    def add(self, name: str, text: str, note: str = "") -> None:
        """Counts a text; the samples are those whose names have the highest checksums.

        So they come from everywhere, and are the same whenever the same is read.
        """
        self.documents += 1
        self.characters += len(text)
        key = zlib.crc32(name.encode("utf-8", "replace"))
        if len(self._samples) < SAMPLES or key > self._samples[0][0]:
            entry = (key, name, text[:_EXCERPT], note)
            if len(self._samples) < SAMPLES:
                heapq.heappush(self._samples, entry)
            else:
                heapq.heapreplace(self._samples, entry)

    def as_card(self) -> dict[str, Any]:
        """As the card keeps it."""
        samples = [
            {"id": name, "text": text} | ({"note": note} if note else {})
            for _, name, text, note in sorted(self._samples, reverse=True)
        ]
        return {
            "reason": self.reason,
            "documents": self.documents,
            "characters": self.characters,
            "samples": samples,
        }
