"""Files of all kinds to texts, a piece at a time."""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO

from kataribe.base.errors import FormatError, StorageError
from kataribe.make.text.encoding import REPLACEMENT, decode
from kataribe.make.text.kinds import Kind, in_package, kind_of, why_none
from kataribe.make.text.manual import is_manual, manual_text
from kataribe.make.text.pages import charset_of, html_text, markdown_text, rst_text
from kataribe.make.text.raw import Raw, Reading
from kataribe.make.text.records import read_lines, read_parquet
from kataribe.make.text.tally import Tally
from kataribe.make.text.unpacking import (
    DAMAGE,
    Budget,
    archive_budget,
    is_archive,
    members,
    unpacked,
)

BLOCK = 4 << 20
"""Bytes of a plain text that are looked at together; larger files are streamed."""
WHOLE = 32 << 20
"""Most bytes of a page of HTML or a manual page, which must be read whole."""


def read_file(path: Path, label: str, reading: Reading) -> Iterator[Raw]:
    """The texts of a file or an archive.

    `label` begins their ids. Raises `FormatError` for archives that are damaged or hostile and
    `StorageError` for a file that cannot be read; everything else that gives no text is counted.
    """
    try:
        if is_archive(path.name):
            yield from _read_archive(path, label, reading)
        elif kind_of(path.name) == "parquet":
            reading.tally.files += 1
            yield from read_parquet(path, label, reading)
        else:
            with path.open("rb") as stream:
                size = path.stat().st_size
                yield from _read_stream(stream, label, size, reading, path.name)
    except DAMAGE as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise StorageError(
                f"{path} cannot be read: {error.strerror}. Check the path and who owns it."
            ) from error
        raise FormatError(f"{path} is damaged: {error}. Fetch or pack it again.") from error


def _read_archive(path: Path, label: str, reading: Reading) -> Iterator[Raw]:
    package = path.name.lower().endswith(".deb")
    budget = archive_budget(path)
    with members(path, budget) as found:
        for name, stream, size in found:
            inner = f"{label}/{name.removeprefix('./')}"
            if is_archive(name):
                reading.tally.skip("an archive within an archive", inner)
            elif package and (reason := in_package(name)) is not None:
                reading.tally.skip(reason, inner)
            elif kind_of(name) == "parquet":
                reading.tally.skip("Parquet within an archive: unpack it first", inner)
            else:
                yield from _read_stream(stream, inner, size, reading, name, budget)


def _read_stream(
    stream: IO[bytes],
    label: str,
    size: int,
    reading: Reading,
    name: str,
    budget: Budget | None = None,
) -> Iterator[Raw]:
    """The texts of one file, packed or not."""
    plain, name = unpacked(stream, name, size, budget)
    kind = kind_of(name)
    if kind == "none":
        reading.tally.skip(why_none(name), label)
        return
    reading.tally.files += 1
    if kind == "lines":
        yield from read_lines(plain, label, reading)
        return
    head = _read_up_to(plain, BLOCK)
    if len(head) < BLOCK:
        yield from _read_whole(head, label, kind, reading)
    elif kind in ("html", "manual"):
        head += _read_up_to(plain, WHOLE - BLOCK + 1)
        if len(head) > WHOLE:
            reading.tally.skip(f"a page larger than {WHOLE >> 20} MiB", label)
        else:
            yield from _read_whole(head, label, kind, reading)
    else:
        yield from _read_long(head, plain, label, kind, reading)


def _read_whole(data: bytes, label: str, kind: Kind, reading: Reading) -> Iterator[Raw]:
    """The texts of a file that is in memory."""
    reading.tally.bytes += len(data)
    hint = charset_of(data) if kind in ("html", "code") else None
    found = decode(data, hint)
    if found is None:
        reading.tally.skip("not text, or in an unknown encoding", label)
        return
    reading.tally.decoded(found.encoding, found.replaced, label)
    text = found.text
    if kind == "html" or (kind == "text" and text[:200].lstrip().lower().startswith("<!doctype h")):
        text = html_text(text)
    elif kind == "markdown":
        text = markdown_text(text)
    elif kind == "rst":
        text = rst_text(text)
    elif kind == "manual" and is_manual(text):
        text = manual_text(text)
    if not text.strip():
        reading.tally.skip("an empty file", label)
        return
    yield from _documents([text], label, kind, reading)


def _read_long(
    head: bytes, stream: IO[bytes], label: str, kind: Kind, reading: Reading
) -> Iterator[Raw]:
    """The pieces of a plain text that is longer than one block, streamed."""
    if _encoding_of(head) is None:
        reading.tally.skip("not text, or in an unknown encoding", label)
        return
    counted = _Streamed(head, stream)
    yield from _documents(counted.texts(reading.tally), label, kind, reading)
    reading.tally.decoded(counted.encoding, counted.replaced, label)


class _Streamed:
    """A long text decoded block by block, in the encoding of the first that is not plain ASCII."""

    def __init__(self, head: bytes, stream: IO[bytes]) -> None:
        self._block = head
        self._stream = stream
        self.encoding = "utf-8"
        self.replaced = 0

    def texts(self, tally: Tally) -> Iterator[str]:
        """The text of each block, with U+FFFD for what cannot be decoded."""
        decoder: codecs.IncrementalDecoder | None = None
        while self._block:
            tally.bytes += len(self._block)
            if decoder is None and (not self._block.isascii() or b"\x1b" in self._block):
                self.encoding = _encoding_of(self._block) or self.encoding
                codec = "utf-8-sig" if self.encoding == "utf-8" else self.encoding
                decoder = codecs.getincrementaldecoder(codec)(errors="replace")
            text = self._block.decode("ascii") if decoder is None else decoder.decode(self._block)
            self.replaced += text.count(REPLACEMENT)
            yield text
            self._block = _read_up_to(self._stream, BLOCK)
        if decoder is not None:
            yield decoder.decode(b"", final=True)


def _encoding_of(block: bytes) -> str | None:
    """The encoding of the whole lines of a block."""
    found = decode(block[: block.rfind(b"\n") + 1] or block, None)
    return None if found is None else found.encoding


def _documents(texts: Iterable[str], label: str, kind: Kind, reading: Reading) -> Iterator[Raw]:
    pieces = cut(texts, reading.piece)
    first = next(pieces, None)
    number = 1
    while first is not None:
        following = next(pieces, None)
        alone = number == 1 and following is None
        name = label if alone else f"{label}#{number}"
        reading.tally.documents += 1
        whole = "" if alone else label
        yield Raw(name, first, reading.source, code=kind == "code", whole=whole)
        first, number = following, number + 1


def cut(texts: Iterable[str], most: int) -> Iterator[str]:
    """A long text in pieces of at most `most` characters.

    They end after an empty line, or after a line, where there is one in the second half.
    """
    kept = ""
    for text in texts:
        kept += text
        start = 0
        while len(kept) - start > most:
            end = start + most
            for mark in ("\n\n", "\n"):
                found = kept.rfind(mark, start + most // 2, end)
                if found >= 0:
                    end = found + len(mark)
                    break
            yield kept[start:end]
            start = end
        kept = kept[start:]
    if kept.strip():
        yield kept


def _read_up_to(stream: IO[bytes], most: int) -> bytes:
    """So many bytes, or fewer at the end; streams may give less than asked at a time."""
    blocks: list[bytes] = []
    while most > 0 and (block := stream.read(most)):
        blocks.append(block)
        most -= len(block)
    return b"".join(blocks)
