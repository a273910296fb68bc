"""Journals: records that are only appended, from which work goes on after a crash.

A record is a JSON object with a `kind`. What `append` has returned from is kept, in the order of
appending; what was being appended when the process ended is there wholly or not at all.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol, TypeAlias, runtime_checkable

import filelock

from kataribe.base.errors import FormatError, StorageError, UnavailableError

Record: TypeAlias = Mapping[str, Any]


@runtime_checkable
class Journal(Protocol):
    """Whatever keeps records."""

    def records(self) -> tuple[Record, ...]:
        """All that was appended, oldest first."""
        ...

    async def append(self, record: Record) -> None:
        """Keeps a record; it is kept when this returns. Raises `StorageError`."""
        ...


async def keep(journal: Journal, record: Record, take: Callable[[Record], None]) -> None:
    """Keeps a record, then takes it in; also where whoever asks is cancelled while it is kept.

    Else what is in memory would say less than the journal does.
    """
    try:
        await journal.append(record)
    except asyncio.CancelledError:
        if any(kept is record for kept in journal.records()):
            take(record)
        raise
    take(record)


class MemoryJournal:
    """A journal that ends with the process; it may begin with records from elsewhere."""

    def __init__(self, records: Iterable[Record] = ()) -> None:
        self._records = list(records)

    def records(self) -> tuple[Record, ...]:
        """All that was appended, oldest first."""
        return tuple(self._records)

    async def append(self, record: Record) -> None:
        """Keeps a record."""
        self._records.append(record)


class FileJournal:
    """A journal in a file of JSON lines, flushed to the disk (fsync) with every record.

    One process at a time has it open; `open_journal` closes it in the end.
    """

    def __init__(self, path: Path) -> None:
        """Opens the file, or makes it; what a crash has cut off at its end is taken away.

        Raises:
            UnavailableError: Another process has it open.
            FormatError: A line in it is no record.
            StorageError: It cannot be read or written.
        """
        self.path = path
        self._lock = filelock.FileLock(path.with_name(f"{path.name}.lock"))
        self._turn = asyncio.Lock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._lock.acquire(timeout=0)
        except filelock.Timeout:
            raise UnavailableError(
                f"Another process works with {path}. Wait until it ends, or stop it."
            ) from None
        except OSError as error:
            raise _storage_error(path, error) from error
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            self._records = _read(self._file, path)
        except OSError as error:
            self._lock.release()
            raise _storage_error(path, error) from error
        except FormatError:
            os.close(self._file)
            self._lock.release()
            raise

    def records(self) -> tuple[Record, ...]:
        """All that was appended, oldest first."""
        return tuple(self._records)

    async def append(self, record: Record) -> None:
        """Writes a record through to the disk, in a thread.

        A caller that is cancelled meanwhile, in the queue too, learns of it when the record is
        written: what was done is not lost because somebody went away.
        """
        line = json.dumps(record).encode() + b"\n"
        writing = asyncio.ensure_future(self._append(record, line))
        try:
            await asyncio.shield(writing)
        except asyncio.CancelledError:
            await asyncio.wait({writing})
            writing.exception()  # taken, so that nobody warns of it: the record is not there
            raise

    async def _append(self, record: Record, line: bytes) -> None:
        async with self._turn:
            await asyncio.to_thread(self._write, line)
            self._records.append(record)

    def close(self) -> None:
        """Lets the file go."""
        os.close(self._file)
        self._lock.release()

    def _write(self, line: bytes) -> None:
        before = os.fstat(self._file).st_size
        try:
            written = 0
            while written < len(line):
                written += os.write(self._file, line[written:])
            os.fsync(self._file)
        except OSError as error:
            with contextlib.suppress(OSError):
                os.ftruncate(self._file, before)  # else the next record would begin inside this one
            raise _storage_error(self.path, error) from error


@contextlib.contextmanager
def open_journal(path: Path) -> Iterator[FileJournal]:
    """A `FileJournal`, closed at the end of the block."""
    journal = FileJournal(path)
    try:
        yield journal
    finally:
        journal.close()


def _read(file: int, path: Path) -> list[Record]:
    with os.fdopen(os.dup(file), "rb") as reader:
        reader.seek(0)
        data = reader.read()
    whole = data.rfind(b"\n") + 1
    if whole < len(data):
        os.ftruncate(file, whole)
    records: list[Record] = []
    for number, line in enumerate(data[:whole].splitlines(), 1):
        try:
            record = json.loads(line)
        except ValueError as error:
            raise _damaged(path, number, str(error)) from error
        if not isinstance(record, dict) or not isinstance(record.get("kind"), str):
            raise _damaged(path, number, "it is no object with a kind")
        records.append(record)
    return records


def _damaged(path: Path, number: int, why: str) -> FormatError:
    return FormatError(
        f"Line {number} of the journal {path} is no record: {why}. Put a backup in its place, or "
        "move it away to begin anew."
    )


def _storage_error(path: Path, error: OSError) -> StorageError:
    return StorageError(
        f"The journal {path} cannot be written: {error.strerror}. Free some space on its disk, or "
        "mend the rights of its folder; what was kept before is still there."
    )
