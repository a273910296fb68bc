"""What happened to what was read: counted by reason, with names, so that nothing goes silently."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

NAMES = 20
"""Names kept for each reason."""


@dataclass
class Tally:
    """Counts that readers add to while they read."""

    files: int = 0
    """Files opened, also within archives."""
    bytes: int = 0
    """Bytes taken from files, unpacked."""
    documents: int = 0
    """Texts that came out."""
    encodings: Counter[str] = field(default_factory=Counter)
    """Files of text by encoding; `utf-8 (broken)` are those with wrong bytes."""
    replaced: int = 0
    """Places that could not be decoded and hold U+FFFD now."""
    skipped: dict[str, tuple[int, list[str]]] = field(default_factory=dict)
    """Reason to how many files or lines gave no text, and the names of the first of them."""

    def skip(self, reason: str, name: str) -> None:
        """Counts something that gives no text."""
        count, names = self.skipped.get(reason, (0, []))
        if len(names) < NAMES:
            names.append(name)
        self.skipped[reason] = count + 1, names

    def decoded(self, encoding: str, replaced: int, name: str) -> None:
        """Counts a file's encoding; one with wrong bytes is also named."""
        self.encodings[f"{encoding} (broken)" if replaced else encoding] += 1
        if replaced:
            self.replaced += replaced
            self.skip("places that could not be decoded, now U+FFFD", f"{name} ({replaced})")

    def as_card(self) -> dict[str, Any]:
        """The counts as the card keeps them."""
        return {
            "files": self.files,
            "bytes": self.bytes,
            "documents": self.documents,
            "encodings": dict(self.encodings.most_common()),
            "replaced_characters": self.replaced,
            "skipped": {
                reason: {"count": count, "names": names}
                for reason, (count, names) in sorted(self.skipped.items())
            },
        }
