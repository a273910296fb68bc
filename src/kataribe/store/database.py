"""The database file: transactions in it, and its way from an older form to today's.

One SQLite file in WAL mode: readers never wait for the writer, nor for its thread. Whatever changes
happens in one transaction of `writing`; a change that returns is on the disk.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import functools
import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy import Connection, event
from sqlalchemy.exc import DBAPIError

from kataribe.base.errors import StorageError
from kataribe.store.upgrade import is_older, upgrade

T = TypeVar("T")

BUSY_SECONDS = 10.0
"""How long a writer waits for one in another process."""

READERS = 4
"""Threads that look things up for the event loop."""

_BEGIN = "kataribe_begin"


class Store:
    """An open database; safe to use from several threads, and beside other processes.

    Opening makes the file where there is none and brings an older one up to date, after a backup
    beside it. Raises `StorageError`: a disk that is full, a file that is no database, one that a
    newer Kataribe has written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._writer = threading.Lock()
        try:
            with _told(path):
                path.parent.mkdir(parents=True, exist_ok=True)
                self._engine = _engine(path)
                upgrade(self._engine, path)
        except OSError as error:
            raise StorageError(
                f"The database {path} cannot be opened: {error.strerror}. "
                "Choose another workspace with KATARIBE_HOME, or mend its rights."
            ) from error
        # Threads of its own: in those that everybody shares, a few writers that wait for their
        # turn would keep every reader out. Writers take turns anyway, so one thread is enough.
        self._writes = ThreadPoolExecutor(1, thread_name_prefix="store-write")
        self._reads = ThreadPoolExecutor(READERS, thread_name_prefix="store-read")

    def close(self) -> None:
        """Finishes what was begun or waits in `read` and `write`, and lets the file go."""
        self._writes.shutdown()
        self._reads.shutdown()
        self._engine.dispose()

    @contextlib.contextmanager
    def reading(self) -> Iterator[Connection]:
        """A view of the database as it is at the first look."""
        with _told(self.path), self._engine.connect() as connection, connection.begin():
            yield connection

    @contextlib.contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction: everything in it is kept when it ends, or nothing."""
        # In this process writers wait for each other here, in turn, not by asking again and again.
        with self._writer, _told(self.path), self._engine.connect() as connection:
            writer = connection.execution_options(**{_BEGIN: "BEGIN IMMEDIATE"})
            with writer.begin():
                yield writer

    async def read(self, work: Callable[[Connection], T]) -> T:
        """What `work` finds, looked up in a thread; no writer holds it up.

        One that is cancelled before its turn is not looked up at all.
        """

        def run() -> T:
            with self.reading() as connection:
                return work(connection)

        return await self._in_thread(self._reads, run)

    async def write(self, work: Callable[[Connection], T]) -> T:
        """What `work` gives after its changes are kept; it runs in a thread, in turn.

        A caller that is cancelled meanwhile learns of it only afterwards: a change is never left
        half known.
        """

        def run() -> T:
            with self.writing() as connection:
                return work(connection)

        task = self._in_thread(self._writes, run)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            await asyncio.wait({task})
            raise

    def _in_thread(self, threads: ThreadPoolExecutor, run: Callable[[], T]) -> asyncio.Future[T]:
        call = functools.partial(contextvars.copy_context().run, run)
        try:
            return asyncio.get_running_loop().run_in_executor(threads, call)
        except RuntimeError as error:  # the threads have ended
            raise StorageError(f"The database {self.path} is closed. Open it again.") from error


def needs_upgrade(path: Path) -> bool:
    """Whether opening the database would change its form; raises `StorageError`."""
    if not path.exists():
        return False
    with _told(path):
        engine = _engine(path)
        try:
            with engine.connect() as connection:
                return is_older(connection)
        finally:
            engine.dispose()


def _engine(path: Path) -> sa.Engine:
    engine = sa.create_engine(f"sqlite:///{path}", connect_args={"timeout": BUSY_SECONDS})

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _: Any) -> None:
        connection.isolation_level = None  # the driver begins no transactions of its own
        for pragma in (
            "journal_mode = WAL",
            "synchronous = FULL",  # what is reported as kept outlives a power cut, too
            "foreign_keys = ON",
            "secure_delete = ON",  # what is deleted is overwritten, not only forgotten
            "cache_size = -16000",
        ):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql(connection.get_execution_options().get(_BEGIN, "BEGIN"))

    return engine


@contextlib.contextmanager
def _told(path: Path) -> Iterator[None]:
    """What SQLite says of the file and the disk as `StorageError`s; other failures pass."""
    try:
        yield
    except DBAPIError as error:
        raise _explained(path, error.orig) from error
    except sqlite3.Error as error:
        raise _explained(path, error) from error


def _explained(path: Path, error: BaseException | None) -> Exception:
    code = getattr(error, "sqlite_errorname", "")
    if code.startswith("SQLITE_FULL"):
        return StorageError(
            f"The disk with {path} is full; nothing of this change was kept. Free some space "
            "(`kataribe models rm` frees most) and try again."
        )
    if code.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return StorageError(
            f"Another process has been writing to {path} for {BUSY_SECONDS:g} seconds. Nothing of "
            "this change was kept; try again when it has finished."
        )
    if code.startswith(("SQLITE_NOTADB", "SQLITE_CORRUPT")):
        return StorageError(
            f"{path} is damaged or no database ({error}). Put a backup in its place, or move it "
            "away to begin anew."
        )
    return StorageError(f"The database {path} failed: {error}. Nothing of this change was kept.")
