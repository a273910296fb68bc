"""Kept texts on their way: on disk, with a few numbers of each in memory."""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from kataribe.make.text.document import Document, from_line
from kataribe.make.text.signatures import Signature


class Spill:
    """Lines of documents in one file and their signatures in another, until all were read.

    In memory it keeps 36 bytes for each document, and 16 more for each piece of a long text.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / "documents.spill"
        self.signatures = folder / "signatures.spill"
        self._lines = self.path.open("wb")
        self._rows = self.signatures.open("wb")
        self._hashes = array("Q")
        self._begins = array("Q")
        self._bytes = array("I")
        self._characters = array("I")
        self._languages = array("H")
        self._names: list[str] = []
        self._pieces = array("Q")
        self._wholes = array("Q")
        self._end = 0

    def add(
        self,
        document: Document,
        line: bytes,
        digest: bytes,
        signature: Signature,
        whole: str = "",
    ) -> None:
        """Keeps a document: its line, 16 bytes of hash of its text, its signature.

        `whole` names the long text that it is a piece of.
        """
        if whole:
            self._pieces.append(len(self))
            self._wholes.frombytes(digest_of(whole)[:8])
        self._lines.write(line)
        self._rows.write(signature.astype("<u4").tobytes())
        self._hashes.frombytes(digest)
        self._begins.append(self._end)
        self._end += len(line)
        self._bytes.append(len(document.text.encode("utf-8", "replace")))
        self._characters.append(len(document.text))
        if document.language not in self._names:
            self._names.append(document.language)
        self._languages.append(self._names.index(document.language))

    def __len__(self) -> int:
        return len(self._bytes)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.finish()

    def finish(self) -> None:
        """No more will be added."""
        self._lines.close()
        self._rows.close()

    def remove(self) -> None:
        """Takes both files away."""
        self.finish()
        self.path.unlink(missing_ok=True)
        self.signatures.unlink(missing_ok=True)

    @property
    def hashes(self) -> NDArray[np.uint64]:
        """`(documents, 2)`."""
        return np.frombuffer(self._hashes, np.uint64).reshape(-1, 2)

    @property
    def pieces(self) -> NDArray[np.int64]:
        """`(pieces, 2)`: each piece of a long text, and the first piece of the same text."""
        numbers = np.frombuffer(self._pieces, np.uint64).astype(np.int64)
        wholes = np.frombuffer(self._wholes, np.uint64)
        _, first, whole = np.unique(wholes, return_index=True, return_inverse=True)
        return np.stack([numbers, numbers[first][whole]], axis=1)

    @property
    def text_bytes(self) -> NDArray[np.int64]:
        """Bytes of each text in UTF-8, `(documents,)`."""
        return np.frombuffer(self._bytes, np.uint32).astype(np.int64)

    @property
    def characters(self) -> NDArray[np.int64]:
        """Characters of each text, `(documents,)`."""
        return np.frombuffer(self._characters, np.uint32).astype(np.int64)

    @property
    def language_numbers(self) -> NDArray[np.int64]:
        """Which of `language_names` each document is in, `(documents,)`."""
        return np.frombuffer(self._languages, np.uint16).astype(np.int64)

    @property
    def language_names(self) -> tuple[str, ...]:
        """All languages, in the order in which they came."""
        return tuple(self._names)

    def lines(self) -> Iterator[bytes]:
        """All lines, in the order in which they were added."""
        with self.path.open("rb") as lines:
            yield from lines

    def documents(self, numbers: NDArray[np.int64]) -> Iterator[Document]:
        """Those documents, read again."""
        with self.path.open("rb") as lines:
            for number in numbers.tolist():
                lines.seek(self._begins[number])
                yield from_line(lines.readline(), f"{self.path.name}:{number}")


def digest_of(comparable_text: str) -> bytes:
    """16 bytes that tell texts apart (BLAKE2b)."""
    data = comparable_text.encode("utf-8", "surrogatepass")
    return hashlib.blake2b(data, digest_size=16).digest()
