"""The pool of threads that does the jobs of a workspace: one pool in the process that serves."""

from __future__ import annotations

import contextlib
import json
import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Self, TypeAlias, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from kataribe.base.errors import KataribeError, StorageError
from kataribe.store import jobs as rows
from kataribe.store.database import Store
from kataribe.store.job_log import Level, LogLine, add_line, read_lines
from kataribe.store.job_work import Reporter, StopWork, Work
from kataribe.store.jobs import Failure, Job, NewJob, Progress, Wish

log = logging.getLogger("kataribe.store")

Listener: TypeAlias = Callable[[str, Job], None]
JobT = TypeVar("JobT", Job, Job | None)

LOOK_AGAIN = 2.0
"""Seconds after which the pool looks into the database unasked: another process may have written
there, or the disk may have room again."""

_PASSING = (RuntimeError, OSError, MemoryError, SQLAlchemyError)
"""What is raised where the system is short of threads, files, memory or connections."""


@dataclass(frozen=True, slots=True)
class _Run:
    """A job that a thread has in hand; `tidies` it when it takes away what the job left."""

    job: Job
    reporter: Reporter
    thread: threading.Thread
    tidies: bool


class Workers:
    """Runs jobs, and takes and shows them for people; safe to use from several threads.

    Exactly one process per workspace may have one that is started. Jobs outlive the process: those
    that ran when it ended go on when the next one starts.

    Args:
        store: Where the jobs are.
        kinds: What does each kind. A job of another kind waits until a pool knows it.
        limit: Jobs that run at once, of all people together.
    """

    def __init__(self, store: Store, kinds: Mapping[str, Work], limit: int = 2) -> None:
        self._store = store
        self._kinds = dict(kinds)
        self._limit = limit
        self._runs: dict[str, _Run] = {}
        self._unbegun: set[str] = set()
        self._turns: dict[str, int] = {}
        self._listeners: list[Listener] = []
        self._order = threading.RLock()  # what is told comes in the order of the writes
        self._poked = threading.Event()
        self._stopping = threading.Event()
        self._dispatcher: threading.Thread | None = None

    # For people: every call asks whose it is.

    def add(self, owner: str, wanted: NewJob) -> Job:
        """A new job, or the open one that does the same. Raises `InputError`, `StorageError`."""
        return self._told(lambda tx: rows.add_job(tx, owner, wanted))

    def get(self, owner: str, job: str) -> Job:
        """One job; `NotFoundError` for one that is another's."""
        with self._store.reading() as tx:
            return self._rated(rows.get_job(tx, owner, job))

    def list(self, owner: str, *, active: bool | None = None) -> tuple[Job, ...]:
        """The owner's jobs, newest first; `active` True only open ones, False only ended ones."""
        with self._store.reading() as tx:
            return tuple(map(self._rated, rows.list_jobs(tx, owner, active=active)))

    def ask(self, owner: str, job: str, wish: Wish) -> Job:
        """Pause, go on or cancel; raises as `jobs.ask` does."""
        with self._order:
            found = self._told(lambda tx: rows.ask(tx, owner, job, wish))
            run = self._runs.get(job)
            if run is not None and not run.tidies and found.state in ("pausing", "cancelling"):
                run.reporter.stop()
            return found

    def remove(self, owner: str, job: str) -> None:
        """Removes an ended job and its log."""
        with self._store.writing() as tx:
            rows.remove_job(tx, owner, job)

    def lines(self, owner: str, job: str, *, after: int = 0) -> tuple[LogLine, ...]:
        """The job's log after that key, at most 1,000 lines of it."""
        with self._store.reading() as tx:
            return read_lines(tx, owner, job, after=after)

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Has `listener(owner, job)` called after each change, until what this gives is called.

        It is called from any thread, must not block, raise or ask for anything here.
        """
        with self._order:
            self._listeners.append(listener)

        def end() -> None:
            with self._order:
                self._listeners.remove(listener)

        return end

    # The pool.

    def start(self) -> None:
        """Takes up what an earlier process left, and begins to work. Raises `StorageError`."""
        with self._store.writing() as tx:
            for job in rows.recover_jobs(tx):
                add_line(tx, job.id, "warning", "The process ended while this ran.")
        self._stopping.clear()
        self._poked.set()
        dispatcher = threading.Thread(target=self._dispatch, name="jobs", daemon=True)
        dispatcher.start()
        self._dispatcher = dispatcher

    def stop(self, patience: float = 10.0) -> None:
        """Ends running jobs at a safe place, to go on at the next start.

        Waits at most `patience` seconds for them; one that takes longer is as one whose process
        ended.
        """
        self._stopping.set()
        self._poked.set()
        until = time.monotonic() + patience
        if self._dispatcher is not None:
            self._dispatcher.join(patience)
        with self._order:
            runs = list(self._runs.values())
        for run in runs:
            run.reporter.stop()
        for run in runs:
            run.thread.join(max(until - time.monotonic(), 0.0))

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _dispatch(self) -> None:
        while not self._stopping.is_set():
            self._poked.wait(LOOK_AGAIN)
            self._poked.clear()
            try:
                while not self._stopping.is_set() and self._begin_one():
                    pass
            except StorageError as error:
                log.warning("Jobs wait: %s", error)
            except _PASSING:  # nothing else would begin jobs
                log.exception("Jobs wait: one could not begin just now. It is tried again.")
                self._stopping.wait(LOOK_AGAIN)

    def _begin_one(self) -> bool:
        """Begins whatever may begin; whether there may be more."""
        with self._order:
            self._put_back()
            at_hand = set(self._runs)
            with self._store.reading() as tx:
                left = rows.to_tidy(tx, but=at_hand)
                waiting = rows.next_of_each(tx, self._kinds.keys(), but=at_hand)
            if left:
                self._begin(left[0], tidies=True)
                return True
            running = [run.job.owner for run in self._runs.values() if not run.tidies]
            if not waiting or len(running) >= self._limit:
                return False
            # Whoever has the fewest running comes first, then whoever's turn was longest ago.
            job = min(waiting, key=lambda j: (running.count(j.owner), self._turns.get(j.owner, 0)))
            claimed = self._told(lambda tx: self._claim(tx, job.id))
            if claimed is not None:
                self._turns[job.owner] = max(self._turns.values(), default=0) + 1
                self._begin(claimed, tidies=False)
            return True

    def _claim(self, tx: Connection, job: str) -> Job | None:
        claimed = rows.claim(tx, job)
        if claimed is not None:
            add_line(tx, job, "info", f"Begun, attempt {claimed.attempts}.")
        return claimed

    def _begin(self, job: Job, *, tidies: bool) -> None:
        reporter = Reporter(
            lambda at: self._keep(job.id, at), lambda level, line: self._note(job.id, level, line)
        )
        call = self._tidy if tidies else self._work
        thread = threading.Thread(
            target=call, args=(job, reporter), name=f"job {job.kind} {job.id}", daemon=True
        )
        self._runs[job.id] = _Run(job, reporter, thread, tidies)
        try:
            thread.start()
        except (RuntimeError, MemoryError):  # the system has no thread left
            del self._runs[job.id]
            if not tidies:
                self._unbegun.add(job.id)
                self._put_back()
            raise

    def _put_back(self) -> None:
        """Has those wait again that were claimed, but whose thread never started."""
        for job in tuple(self._unbegun):
            self._told(partial(rows.leave_job, job=job), poke=False)
            self._unbegun.discard(job)

    def _work(self, job: Job, reporter: Reporter) -> None:
        """A job's thread: the work, then what became of it."""
        with self._at_hand(job):
            failure: Failure | None = None
            result: Mapping[str, object] | None = None
            stopped = False
            try:
                result = _as_json(self._kinds[job.kind].run(job, reporter))
            except StopWork:
                stopped = True
            except (KataribeError, OSError) as error:
                failure = _failure(error)
            finally:
                if result is None and failure is None and not stopped:
                    failure = _unexpected(sys.exception())  # it goes on to the thread's own report

                def settle(tx: Connection) -> Job | None:
                    if reporter.unkept is not None:
                        rows.keep_progress(tx, job.id, reporter.unkept)
                    if failure is not None:
                        add_line_if_there(tx, job.id, "error", failure.message)
                    if stopped:
                        return rows.leave_job(tx, job.id)
                    return rows.end_job(tx, job.id, result=result, failure=failure)

                if self._insist(settle) is None:  # its owner is gone, and everything with them
                    self._kinds[job.kind].discard(job)

    def _tidy(self, job: Job, reporter: Reporter) -> None:
        """A thread that takes away what a cancelled job left."""
        del reporter
        with self._at_hand(job):
            failure: Failure | None = None
            told = False
            try:
                if job.kind in self._kinds:
                    self._kinds[job.kind].discard(job)
                told = True
            except (KataribeError, OSError) as error:
                failure, told = _failure(error), True
            finally:
                if not told:
                    failure = _unexpected(sys.exception())
                self._insist(lambda tx: rows.cancelled(tx, job.id, failure))

    @contextlib.contextmanager
    def _at_hand(self, job: Job) -> Iterator[None]:
        """At the end the job is nobody's, and the dispatcher looks for more."""
        try:
            yield
        finally:
            with self._order:
                del self._runs[job.id]
            self._poked.set()

    def _insist(self, change: Callable[[Connection], Job | None]) -> Job | None:
        """`_told`, again and again while the database cannot be written and the pool runs.

        A pool that stops leaves the row as it is: the next start takes it up.
        """
        while True:
            try:
                return self._told(change)
            except StorageError as error:
                log.warning("What became of a job is not written yet: %s", error)
                if self._stopping.wait(LOOK_AGAIN):
                    raise

    def _keep(self, job: str, at: Progress) -> Wish | None:
        kept = self._told(lambda tx: rows.keep_progress(tx, job, at), poke=False)
        return None if kept is None else kept.wanted

    def _note(self, job: str, level: Level, line: str) -> None:
        with self._store.writing() as tx:
            add_line_if_there(tx, job, level, line)

    def _told(self, change: Callable[[Connection], JobT], *, poke: bool = True) -> JobT:
        """Makes a change, then tells the listeners and wakes the dispatcher."""
        with self._order:
            with self._store.writing() as tx:
                job = change(tx)
            if job is None:
                return job
            rated = self._rated(job)
            for listener in tuple(self._listeners):
                with contextlib.suppress(RuntimeError):  # an event loop that has just closed
                    listener(rated.owner, rated)
        if poke:
            self._poked.set()
        return rated

    def _rated(self, job: Job) -> Job:
        run = self._runs.get(job.id)
        if run is None or job.state not in rows.UNDER_WAY:
            return job
        return replace(job, rate=run.reporter.rate)


def add_line_if_there(tx: Connection, job: str, level: Level, line: str) -> None:
    """Adds a line to the log of a job that has not been removed meanwhile."""
    if rows.find_job(tx, job) is not None:
        add_line(tx, job, level, line)


def _as_json(result: Mapping[str, object]) -> Mapping[str, object]:
    """What the database will give back; `TypeError` here is the work's, later it is nobody's."""
    told: Mapping[str, object] = json.loads(json.dumps(dict(result)))
    return told


def _failure(error: KataribeError | OSError) -> Failure:
    if isinstance(error, KataribeError):
        return Failure(error.code, error.message)
    where = f" ({error.filename})" if error.filename else ""
    return Failure(
        "storage_error",
        f"{error.strerror or error}{where}. Free some space or mend its rights, then resume it.",
    )


def _unexpected(error: BaseException | None) -> Failure:
    words = " ".join(f"{type(error).__name__}: {error}".split())[:300]
    return Failure(
        "internal_error", f"An unexpected error happened ({words}). The server's log has more."
    )
