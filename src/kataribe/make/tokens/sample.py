"""A sample of a corpus of any size, in bounded memory and the same each time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from kataribe.base.errors import InputError

_LONGEST = 1 << 16  # characters; longer documents are cut at line ends


@dataclass(frozen=True)
class Sample:
    """What was taken of a corpus.

    Attributes:
        texts: Stretches of documents, at most 65,536 characters each.
        languages: What each is in, where that was said.
        documents: Documents read.
        text_bytes: Bytes read (UTF-8).
        used_bytes: Bytes of the texts taken.
    """

    texts: tuple[str, ...]
    languages: tuple[str, ...]
    documents: int
    text_bytes: int
    used_bytes: int

    @property
    def share(self) -> float:
        """The part of all bytes that was taken."""
        return self.used_bytes / self.text_bytes if self.text_bytes else 0.0


def sample_texts(texts: Iterable[str], limit: int) -> Sample:
    """As `sample_documents`, of texts alone."""
    return sample_documents(((text, "") for text in texts), limit)


def sample_documents(documents: Iterable[tuple[str, str]], limit: int) -> Sample:
    """Every n-th stretch of the texts, n being the smallest power of two that keeps to `limit`.

    Each text comes with its language. One pass, and never more than `limit` bytes in memory (but
    for one document): whenever more has come together, every second one goes, and from then on
    every second one comes.

    Raises:
        InputError: There is no text, or the limit is not positive.
    """
    if limit < 1:
        raise InputError(f"A sample of {limit} bytes is none; take at least 1.", param="sample")
    kept: list[tuple[str, str, int]] = []
    count = text_bytes = used = number = 0
    every = 1
    for text, language in documents:
        count += 1
        for part in _parts(text):
            size = len(part.encode())
            text_bytes += size
            if number % every == 0:
                kept.append((part, language, size))
                used += size
            number += 1
            while used > limit and len(kept) > 1:
                kept, every = kept[::2], every * 2
                used = sum(size for _, _, size in kept)
    if not text_bytes:
        raise InputError(
            f"The corpus has no text: {count} documents came, and none has a character."
        )
    texts, languages = tuple(row[0] for row in kept), tuple(row[1] for row in kept)
    return Sample(texts, languages, count, text_bytes, used)


def _parts(text: str) -> Iterator[str]:
    start = 0
    while len(text) - start > _LONGEST:
        end = text.rfind("\n", start, start + _LONGEST) + 1 or start + _LONGEST
        yield text[start:end]
        start = end
    if start < len(text):
        yield text[start:]
