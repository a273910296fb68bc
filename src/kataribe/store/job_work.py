"""What a kind of job is for the worker pool, and how it tells how far it is."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from kataribe.base.errors import StorageError
from kataribe.store.job_log import Level
from kataribe.store.jobs import Job, Progress, Wish

log = logging.getLogger("kataribe.store")

WRITES_APART = 0.25
"""Seconds between two writes of one job's progress."""

_WINDOW = 5.0
"""Seconds over which a rate is taken."""
_LEAST_WINDOW = 1.0
_STALE = 10.0
"""Seconds after which nobody knows the rate any more."""


class StopWork(BaseException):
    """The work is to end here: paused, cancelled, or the server stops. Let it pass.

    It is no error: like Ctrl-C, it passes by handlers of errors.
    """


class Work(Protocol):
    """What does one kind of job. Each call comes in a thread of its own and may block."""

    def run(self, job: Job, reporter: Reporter) -> Mapping[str, Any]:
        """Does the work, going on with what an earlier attempt left; gives the job's result.

        Calls `reporter.progress` (or `check`) wherever it may be ended: at least once a second.
        An error of the tree becomes the job's failure.
        """
        ...

    def discard(self, job: Job) -> None:
        """Takes away what a cancelled job left. It may have left nothing, or be called twice."""
        ...


class Reporter:
    """What a running job tells. Its calls may come from any thread of the work."""

    def __init__(
        self,
        keep: Callable[[Progress], Wish | None],
        note: Callable[[Level, str], None],
    ) -> None:
        self._keep = keep
        self._note = note
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._samples: deque[tuple[float, int]] = deque()
        self._seen: Progress | None = None
        self._kept: Progress | None = None
        self.wanted: Wish | None = "run"
        """What was asked for when progress was last written; None where the job is gone."""
        self._written = float("-inf")

    def progress(self, stage: str, done: int, total: int | None = None, unit: str = "") -> None:
        """Says how far the work is; raises `StopWork` when it is to end here."""
        at = Progress(stage, done, total, unit)
        with self._lock:
            moment = time.monotonic()
            self._sample(at, moment)
            self._seen = at
            due = moment - self._written >= WRITES_APART
            if due:
                self._written = moment
        if due:  # outside the lock: whoever is told of it may ask for the rate
            self._write(at)
        self.check()

    def check(self) -> None:
        """Raises `StopWork` when the work is to end here."""
        if self._stop.is_set():
            raise StopWork

    def log(self, level: Level, line: str) -> None:
        """Adds a line to the job's log."""
        self._note(level, line)

    def stop(self) -> None:
        """Has the next `progress` or `check` end the work."""
        self._stop.set()

    @property
    def unkept(self) -> Progress | None:
        """Progress that was told and not written yet."""
        return self._seen if self._seen != self._kept else None

    @property
    def rate(self) -> float | None:
        """Units per second lately; None while nobody knows."""
        with self._lock:
            samples = list(self._samples)
        if len(samples) < 2 or time.monotonic() - samples[-1][0] > _STALE:
            return None
        (began, first), (ended, last) = samples[0], samples[-1]
        return (last - first) / (ended - began) if ended - began >= _LEAST_WINDOW else None

    def _sample(self, at: Progress, moment: float) -> None:
        before = self._seen
        if before is None or before.stage != at.stage or at.done < before.done:
            self._samples.clear()
        self._samples.append((moment, at.done))
        while len(self._samples) > 2 and moment - self._samples[0][0] > _WINDOW:
            self._samples.popleft()

    def _write(self, at: Progress) -> None:
        try:
            self.wanted = self._keep(at)
        except StorageError as error:  # the work may still come to its end
            log.warning("The progress of a job was not written: %s", error)
            return
        self._kept = at
        if self.wanted != "run":  # another process may have asked, or the job is gone
            self._stop.set()
