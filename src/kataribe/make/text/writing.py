"""The files of a corpus, counted and hashed while they are written."""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, Self

import numpy as np
from numpy.typing import NDArray

from kataribe.make.text.corpus import CARD, FORMAT
from kataribe.make.text.document import Document, from_line
from kataribe.make.text.spill import Spill


@dataclass
class Written:
    """One of the two files."""

    _file: BinaryIO
    documents: int = 0
    """Lines."""
    characters: int = 0
    """Characters of text."""
    text_bytes: int = 0
    """Bytes of text in UTF-8, which bits per byte are counted by."""
    file_bytes: int = 0
    """Bytes of the file."""
    languages: dict[str, Counter[str]] = field(default_factory=dict)
    """Documents, characters and text_bytes of each language."""
    sha256: str = ""
    """Of the file, when it is finished."""

    @classmethod
    def into(cls, file: BinaryIO) -> Self:
        """One that nothing was written to."""
        written = cls(file)
        written._digest = hashlib.sha256()
        return written

    def __post_init__(self) -> None:
        self._digest = hashlib.sha256()

    def add_line(self, line: bytes) -> None:
        """Writes a line; its text is counted elsewhere."""
        self._file.write(line)
        self._digest.update(line)
        self.documents += 1
        self.file_bytes += len(line)

    def add(self, line: bytes, document: Document) -> None:
        """Writes a line and counts its text."""
        self.add_line(line)
        size = len(document.text.encode("utf-8", "replace"))
        self.characters += len(document.text)
        self.text_bytes += size
        self.count(document.language, 1, len(document.text), size)

    def count(self, language: str, documents: int, characters: int, text_bytes: int) -> None:
        """Counts texts of a language."""
        self.languages.setdefault(language, Counter()).update(
            documents=documents, characters=characters, text_bytes=text_bytes
        )

    def finish(self) -> None:
        """Flushes the file to the disk."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self.sha256 = self._digest.hexdigest()

    def without(self, path: Path, ids: set[str]) -> tuple[Written, list[Document]]:
        """The file at `path` written again without some documents, and those documents."""
        beside = path.with_suffix(".part")
        gone: list[Document] = []
        with path.open("rb") as lines, beside.open("wb") as file:
            written = Written.into(file)
            for line in lines:
                document = from_line(line, path.name)
                if document.id in ids:
                    gone.append(document)
                else:
                    written.add(line, document)
            written.finish()
        beside.replace(path)
        return written, gone

    def as_card(self) -> dict[str, Any]:
        """As the card keeps it."""
        by_documents = sorted(self.languages.items(), key=lambda each: -each[1]["documents"])
        counted = {name: dict(counts) for name, counts in by_documents}
        return {
            "documents": self.documents,
            "characters": self.characters,
            "text_bytes": self.text_bytes,
            "file_bytes": self.file_bytes,
            "languages": {name: counts["documents"] for name, counts in by_documents},
            **({"by_language": counted} if counted else {}),
            "sha256": self.sha256,
        }


def write_split(spill: Spill, chosen: NDArray[np.bool_], path: Path) -> Written:
    """Writes the chosen documents to `path`, in their order, without parsing them again."""
    with path.open("wb") as file:
        written = Written.into(file)
        for line, wanted in zip(spill.lines(), chosen.tolist(), strict=True):
            if wanted:
                written.add_line(line)
        written.finish()
    written.characters = int(spill.characters[chosen].sum())
    written.text_bytes = int(spill.text_bytes[chosen].sum())
    numbers = spill.language_numbers
    for number, name in enumerate(spill.language_names):
        here = chosen & (numbers == number)
        if here.any():
            sums = int(spill.characters[here].sum()), int(spill.text_bytes[here].sum())
            written.count(name, int(np.count_nonzero(here)), *sums)
    return written


def write_card(folder: Path, card: dict[str, Any]) -> None:
    """Writes the card, the last of a corpus's files."""
    told = {"format": FORMAT, "made_at": datetime.now(UTC).isoformat(timespec="seconds"), **card}
    with (folder / CARD).open("w", encoding="utf-8") as file:
        json.dump(told, file, ensure_ascii=False, indent=1)
        file.flush()
        os.fsync(file.fileno())
