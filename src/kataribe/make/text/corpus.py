"""A corpus on disk: `train.jsonl`, `valid.jsonl` and the card that says how they came to be."""

from __future__ import annotations

import hashlib
import io
import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal, cast

from kataribe.base.errors import ChecksumError, FormatError, InputError, NotFoundError
from kataribe.make.text.document import Document, from_line
from kataribe.make.text.languages import language_of
from kataribe.make.text.raw import Reading
from kataribe.make.text.readers import read_file
from kataribe.make.text.unpacking import PACKED, unpacked

FORMAT = 1
"""Version of the folder's layout, in the card."""
CARD = "card.json"
TRAIN = "train.jsonl"
VALID = "valid.jsonl"
FILES = (TRAIN, VALID, CARD)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_LINES = (".jsonl", *(f".jsonl{each}" for each in PACKED))

Split = Literal["train", "valid"]


@dataclass(frozen=True, slots=True)
class Corpus:
    """Where a corpus lies."""

    path: Path
    """Its folder, or the plain file that stands for one."""
    train: Path
    """The training documents."""
    valid: Path | None
    """The validation documents; None for a plain file."""
    card: dict[str, Any]
    """How it was made, and its counts; empty for a plain file."""

    def verify(self) -> None:
        """Compares the files with the card's checksums; `ChecksumError` when one is changed."""
        for name, told in self.card.get("splits", {}).items():
            path = self.path / f"{name}.jsonl"
            with path.open("rb") as content:
                actual = hashlib.file_digest(content, "sha256").hexdigest()
            if actual != told["sha256"]:
                raise ChecksumError(str(path), expected=told["sha256"], actual=actual)


def open_corpus(path: Path) -> Corpus:
    """Opens a folder that `make_corpus` made, or a plain `.jsonl` or `.txt` file.

    Raises `NotFoundError` and `FormatError`.
    """
    if path.is_file():
        return Corpus(path, train=path, valid=None, card={})
    if not path.is_dir():
        raise NotFoundError(
            f"There is no corpus {path}. `kataribe corpus list` shows those that there are, "
            "`kataribe corpus make` makes one.",
            param="corpus",
        )
    try:
        card = json.loads((path / CARD).read_bytes())
        version = card["format"]
    except FileNotFoundError:
        raise FormatError(f"{path} is no corpus: it has no {CARD}.") from None
    except (ValueError, KeyError, TypeError, RecursionError):
        raise FormatError(f"{path / CARD} is damaged. Make the corpus again.") from None
    if version != FORMAT:
        raise FormatError(
            f"{path} is a corpus of format {version!r}; this version reads {FORMAT}. Make it again."
        )
    for name in (TRAIN, VALID):
        if not (path / name).is_file():
            raise FormatError(f"{path} is no whole corpus: {name} is missing. Make it again.")
    return Corpus(path, path / TRAIN, path / VALID, card)


def read_documents(path: Path, split: Split = "train") -> Iterator[Document]:
    """The documents of a file of JSON lines, a plain text, or a split of a corpus folder.

    Streams: a document is in memory only while it is looked at. Raises `NotFoundError`,
    `FormatError` (naming the line) and `StorageError`.
    """
    if path.is_dir():
        corpus = open_corpus(path)
        path = cast(Path, corpus.valid) if split == "valid" else corpus.train
    if not path.is_file():
        raise NotFoundError(f"There is no file {path}.", param="corpus")
    if path.name.lower().endswith(_LINES):
        with path.open("rb") as stream:
            yield from _read_lines(stream, path)
        return
    for raw in read_file(path, path.name, Reading(path.name)):
        yield Document(raw.id, raw.text, raw.source, language_of(raw.text))


def _read_lines(stream: IO[bytes], path: Path) -> Iterator[Document]:
    plain, _ = unpacked(stream, path.name, path.stat().st_size)
    lines = plain if isinstance(plain, io.BufferedReader) else io.BufferedReader(plain)  # type: ignore[type-var]
    for number, line in enumerate(lines, start=1):
        if line.strip():
            yield from_line(line, f"{path.name}:{number}")


def check_name(name: str) -> str:
    """The name, when a corpus may have it; else `InputError`."""
    if not _NAME.fullmatch(name):
        raise InputError(
            f"{name!r:.120} cannot be a corpus's name: it begins with a letter or digit and has "
            "at most 100 letters, digits, dots, dashes and underscores.",
            param="name",
        )
    return name


def find_corpus_folder(corpora: Path, name: str) -> Path:
    """The folder of that name; `NotFoundError` names those that there are."""
    folder = corpora / check_name(name)
    if not folder.is_dir():
        known = ", ".join(list_corpora(corpora)) or "none yet; `kataribe corpus make` makes one"
        raise NotFoundError(f"There is no corpus {name!r}. There are: {known}.", param="corpus")
    return folder


def find_corpus(corpora: Path, name: str) -> Corpus:
    """The corpus of that name; `NotFoundError` or `FormatError`."""
    return open_corpus(find_corpus_folder(corpora, name))


def list_corpora(corpora: Path) -> list[str]:
    """Names of the corpora, sorted; unfinished ones have names that no corpus may have."""
    if not corpora.is_dir():
        return []
    return sorted(p.name for p in corpora.iterdir() if p.is_dir() and _NAME.fullmatch(p.name))


def remove_corpus(corpora: Path, name: str) -> None:
    """Removes a corpus, also a damaged one; `NotFoundError` when there is none."""
    shutil.rmtree(find_corpus_folder(corpora, name))
