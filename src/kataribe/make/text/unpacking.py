"""Compressed files and archives as streams; nothing of an archive is ever written to disk.

Archives come from strangers. Members are read one after the other, links and devices are passed
over, names that climb out of the folder are refused, and a stream that grows far beyond its
packed size (a bomb) is cut off with an error.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import subprocess
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, BinaryIO, cast

import zstandard

from kataribe.base.errors import FormatError

PACKED = (".gz", ".bz2", ".xz", ".zst")
ARCHIVES = (".zip", ".tar", ".tgz", ".tbz2", ".txz", ".deb")
FREE_BYTES = 64 << 20
"""What a packed file may unpack to in any case."""
LARGEST_RATIO = 200
"""Beyond that, how many times its size: text packs 3 to 10 times, repetitive logs up to 100."""
DAMAGE = (
    OSError,
    EOFError,
    zlib.error,
    lzma.LZMAError,
    zstandard.ZstdError,
    tarfile.TarError,
    zipfile.BadZipFile,
    RuntimeError,  # an encrypted member of a zip file
    NotImplementedError,  # a zip method that Python lacks
)
"""What damaged archives raise."""


class Budget:
    """How much a packed file or an archive may unpack to, with all that is packed within it."""

    def __init__(self, name: str, packed_bytes: int) -> None:
        self._name = name
        self._packed = packed_bytes
        self._left = self._limit = max(FREE_BYTES, LARGEST_RATIO * packed_bytes)

    def take(self, count: int) -> None:
        """Counts unpacked bytes; `FormatError` beyond the limit."""
        self._left -= count
        if self._left < 0:
            raise FormatError(
                f"{self._name} unpacks to more than {self._limit} bytes from {self._packed}; the "
                f"limit is {LARGEST_RATIO} times the packed size. If it is no bomb, unpack it "
                "yourself and give the folder."
            )


class Bounded(io.RawIOBase):
    """Reads a stream within a budget; `FormatError` beyond."""

    def __init__(self, stream: IO[bytes], budget: Budget) -> None:
        self._stream = stream
        self._budget = budget

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: object) -> int:
        """Fills a buffer, as `io.RawIOBase` has it."""
        view = memoryview(cast(bytearray, buffer))
        data = self._stream.read(min(len(view), 1 << 20))
        self._budget.take(len(data))
        view[: len(data)] = data
        return len(data)


def unpacked(
    stream: IO[bytes], name: str, packed_bytes: int, budget: Budget | None = None
) -> tuple[IO[bytes], str]:
    """The stream within a `.gz`, `.bz2`, `.xz` or `.zst` file, and its name without the ending.

    What is not packed comes back as it is. `budget` is that of the archive which holds the file;
    without one it has its own.
    """
    lower = name.lower()
    inner: IO[bytes]
    if lower.endswith(".gz"):
        inner = cast(IO[bytes], gzip.GzipFile(fileobj=stream))
    elif lower.endswith(".bz2"):
        inner = cast(IO[bytes], bz2.BZ2File(stream))
    elif lower.endswith(".xz"):
        inner = cast(IO[bytes], lzma.LZMAFile(stream))  # noqa: SIM115 - closed with its file
    elif lower.endswith(".zst"):
        inner = zstandard.ZstdDecompressor().stream_reader(stream, read_across_frames=True)
    else:
        return stream, name
    bounded = io.BufferedReader(Bounded(inner, budget or Budget(name, packed_bytes)), 1 << 16)
    return bounded, name[: name.rindex(".")]


@contextmanager
def members(
    path: Path, budget: Budget | None = None
) -> Iterator[Iterator[tuple[str, IO[bytes], int]]]:
    """Name, stream and packed size of each file in an archive, in its order.

    Raises `FormatError` for a damaged or hostile archive. A stream ends with its turn. All of them
    together take from `budget`.
    """
    name = path.name.lower()
    budget = budget or archive_budget(path)
    with path.open("rb") as file:
        size = path.stat().st_size
        if name.endswith(".zip"):
            with _zip_file(path, file) as archive:
                yield _zip_members(archive, path, budget)
            return
        if name.endswith(".deb"):
            with _deb_stream(path, budget) as stream:
                yield _tar_members(stream, path, size)
            return
        packed = {".tgz": ".gz", ".tbz2": ".bz2", ".txz": ".xz"}
        ending = next((new for old, new in packed.items() if name.endswith(old)), "")
        stream, _ = unpacked(file, path.name + ending, size, budget)
        yield _tar_members(stream, path, size)


def archive_budget(path: Path) -> Budget:
    """What an archive may unpack to."""
    return Budget(str(path), path.stat().st_size)


def is_archive(name: str) -> bool:
    """Whether a name is that of an archive that can be read."""
    lower = name.lower()
    plain = next((lower[: -len(each)] for each in PACKED if lower.endswith(each)), lower)
    return lower.endswith(ARCHIVES) or plain.endswith(".tar")


def check_member(archive: str, name: str) -> None:
    """Refuses names that leave the archive's own folder (`FormatError`)."""
    parts = PurePosixPath(name.replace("\\", "/"))
    if parts.is_absolute() or ".." in parts.parts or name[1:2] == ":" or "\0" in name:
        raise FormatError(
            f"{archive} holds a file named {name!r:.200}, which leads out of its own folder. "
            "Archives that do so are hostile; it is not read."
        )


def _zip_file(path: Path, file: BinaryIO) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(file)
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise FormatError(f"{path} is no zip archive, or it is damaged: {error}.") from None


def _zip_members(
    archive: zipfile.ZipFile, path: Path, budget: Budget
) -> Iterator[tuple[str, IO[bytes], int]]:
    for info in archive.infolist():
        if info.is_dir() or (info.external_attr >> 16) & 0o170000 == 0o120000:  # a link
            continue
        check_member(str(path), info.filename)
        budget.take(info.file_size)
        with archive.open(info) as member:  # gives no more than the size that it tells
            yield info.filename, member, info.compress_size


def _tar_members(stream: IO[bytes], path: Path, size: int) -> Iterator[tuple[str, IO[bytes], int]]:
    try:
        with tarfile.open(fileobj=stream, mode="r|") as archive:
            for info in archive:
                archive.members.clear()  # type: ignore[attr-defined] # it keeps every header
                if not info.isfile():
                    continue
                check_member(str(path), info.name)
                member = archive.extractfile(info)
                if member is not None:
                    yield info.name, member, info.size
    except tarfile.TarError as error:
        raise FormatError(
            f"{path} ({size} bytes) is no tar archive, or damaged: {error}."
        ) from None


@contextmanager
def _deb_stream(path: Path, budget: Budget) -> Iterator[IO[bytes]]:
    """The files of a Debian package as a tar stream, by `dpkg-deb`: no root, no script runs."""
    command = ["dpkg-deb", "--fsys-tarfile", "--", str(path)]
    try:
        process = subprocess.Popen(  # noqa: S603 - no shell; the path is an argument
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
    except FileNotFoundError:
        raise FormatError(
            f"{path} is a Debian package, and dpkg-deb is not installed here. Unpack it on a "
            "Debian machine and give the folder."
        ) from None
    with process:
        assert process.stdout is not None  # both are pipes
        assert process.stderr is not None
        bounded = Bounded(process.stdout, budget)
        try:
            if not (buffered := io.BufferedReader(bounded, 1 << 16)).peek(1):
                words = process.stderr.read(2000).decode("utf-8", "replace").split("\n")[0]
                raise FormatError(f"{path} is no Debian package, or it is damaged: {words}")
            yield buffered
        finally:
            process.kill()  # ended already when all was read
