"""The texts of a corpus, one document after the other, in the memory of one document."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import zstandard

from kataribe.base.errors import FormatError, InputError, NotFoundError
from kataribe.files.atomic import storage_error
from kataribe.files.checksum import sha256_file

KINDS = (".jsonl", ".jsonl.zst", ".jsonl.gz", ".txt")
PIECE = 500_000
"""Most characters of a document that is read from plain text, as where corpora are made."""
_BLOCK = 1 << 20  # characters
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class CorpusFiles:
    """Where a corpus lies.

    Attributes:
        name: For people.
        splits: Files by split: `train`, and `valid` where the corpus has held something apart.
    """

    name: str
    splits: dict[str, Path]

    @classmethod
    def find(cls, path: Path) -> CorpusFiles:
        """A corpus' folder (`train.jsonl`, `valid.jsonl`), or one file that is all `train`.

        Raises:
            NotFoundError: There is nothing at the path, or no corpus in the folder.
            InputError: It is a file of another kind.
        """
        if path.is_dir():
            found = {
                split: path / f"{split}{kind}"
                for split in ("valid", "train")
                for kind in reversed(KINDS)
                if (path / f"{split}{kind}").is_file()
            }
            if "train" not in found:
                raise NotFoundError(f"{path} is no corpus: it has no train.jsonl.")
            return cls(path.resolve().name, {name: found[name] for name in sorted(found)})
        if not path.exists():
            raise NotFoundError(f"There is no corpus at {path}: the path does not exist.")
        if not path.name.endswith(KINDS):
            raise InputError(
                f"{path} is neither a corpus' folder nor a file of {', '.join(KINDS)}. "
                "Make a corpus out of it first (kataribe corpus make)."
            )
        return cls(path.name.partition(".")[0], {"train": path})

    def sha256(self) -> str:
        """A checksum of all files."""
        digest = hashlib.sha256()
        for split, path in sorted(self.splits.items()):
            digest.update(f"{split} {sha256_file(path)}\n".encode())
        return digest.hexdigest()


def read_rows(path: Path, progress: Progress | None = None) -> Iterator[dict[str, Any]]:
    """The objects of a file of JSON lines (also compressed, `.zst` or `.gz`), one at a time.

    `progress` is told bytes of the file read and in all, now and then.

    Raises:
        NotFoundError: There is no such file.
        FormatError: A line is not a JSON object in UTF-8, or the compressed stream is damaged.
        StorageError: It cannot be read.
    """
    for number, line in _lines(path, progress):
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:  # UnicodeDecodeError is a ValueError
            raise FormatError(f"Line {number} of {path} is not JSON in UTF-8: {error}.") from error
        if not isinstance(row, dict):
            raise FormatError(
                f"Line {number} of {path} is {type(row).__name__}, but has to be an object."
            )
        yield row


def read_texts(path: Path, progress: Progress | None = None) -> Iterator[str]:
    """The texts of a corpus' file: the field `text` of JSON lines, or a `.txt` in pieces.

    A piece has at most 500,000 characters and ends after an empty line or a line where it can.
    Raises what `read_rows` raises, and `FormatError` for a line without a text.
    """
    for text, _ in read_texts_with_language(path, progress):
        yield text


def read_texts_with_language(
    path: Path, progress: Progress | None = None
) -> Iterator[tuple[str, str]]:
    """The texts, and the language that each is said to be in (empty where nothing is said)."""
    if path.name.endswith(".txt"):
        for piece in _pieces(_blocks(path, progress)):
            yield piece, ""
        return
    for number, row in enumerate(read_rows(path, progress), start=1):
        text = row.get("text")
        if not isinstance(text, str):
            raise FormatError(
                f"Line {number} of {path} has no text: its field `text` is "
                f"{type(text).__name__}. A corpus has one document a line: "
                '{"text": "...", "language": "..."}.'
            )
        language = row.get("language")
        yield text, language if isinstance(language, str) else ""


_TOLD_EVERY = 256  # lines


def _blocks(path: Path, progress: Progress | None) -> Iterator[str]:
    """A plain text, decoded block by block; every line ends with LF."""
    try:
        with path.open("rb") as file, io.TextIOWrapper(file, "utf-8-sig") as text:
            total = path.stat().st_size
            while block := text.read(_BLOCK):
                yield block
                if progress is not None:
                    progress(min(file.tell(), total), total)
            if progress is not None:
                progress(total, total)
    except UnicodeDecodeError as error:
        raise FormatError(
            f"{path} is not UTF-8: {error}. Make a corpus out of it (kataribe corpus make), "
            "which finds out the encoding."
        ) from error
    except FileNotFoundError:
        raise NotFoundError(f"{path} does not exist.") from None
    except OSError as error:
        raise storage_error(f"{path} cannot be read", error) from error


def _pieces(blocks: Iterable[str]) -> Iterator[str]:
    """The blocks' text, cut where paragraphs end."""
    kept = ""
    for block in blocks:
        kept += block
        while len(kept) > PIECE:
            ends = (kept.rfind(mark, PIECE // 2, PIECE) + len(mark) for mark in ("\n\n", "\n"))
            end = next((each for each in ends if each > PIECE // 2), PIECE)
            yield kept[:end]
            kept = kept[end:]
    if kept:
        yield kept


def _lines(path: Path, progress: Progress | None) -> Iterator[tuple[int, bytes]]:
    try:
        with ExitStack() as stack:
            file: BinaryIO = stack.enter_context(path.open("rb"))
            total = path.stat().st_size
            lines: BinaryIO | io.BufferedReader = file
            if path.suffix == ".zst":
                opened = zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True)
                lines = stack.enter_context(io.BufferedReader(opened, 1 << 20))
            elif path.suffix == ".gz":
                unzipped = stack.enter_context(gzip.GzipFile(fileobj=file))
                lines = stack.enter_context(io.BufferedReader(unzipped, 1 << 20))
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    yield number, line
                if progress is not None and number % _TOLD_EVERY == 0:
                    progress(min(file.tell(), total), total)
            if progress is not None:
                progress(total, total)
    except FileNotFoundError:
        raise NotFoundError(f"{path} does not exist.") from None
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise FormatError(f"{path} is no whole gzip file: {error}.") from error
    except OSError as error:
        raise storage_error(f"{path} cannot be read", error) from error
    except zstandard.ZstdError as error:
        raise FormatError(f"{path} is no whole Zstandard file: {error}.") from error
