"""Writes what a ledger collects into `traces.db`, in a thread of its own and in batches."""

from __future__ import annotations

import logging
import threading

from kataribe.base.errors import StorageError
from kataribe.prove.ops.ledger import NOTHING, Bill, Ledger, Span
from kataribe.prove.ops.spent import Spent
from kataribe.prove.ops.trace_store import TraceStore

log = logging.getLogger("kataribe.ops")

EVERY = 0.5
"""Seconds between two batches: so much a sudden end may cost."""


class TraceWriter:
    """Empties a ledger every half second, and at the end.

    Where the file cannot be written just now, the spans wait, as many as the ledger has room for;
    what is too much is dropped and counted, and what it used is kept. Nobody who answers waits.
    """

    def __init__(self, ledger: Ledger, store: TraceStore, every: float = EVERY) -> None:
        self._ledger = ledger
        self._store = store
        self._every = every
        self._over = threading.Event()
        self._waiting: tuple[Span, ...] = ()
        self._lost: dict[Bill, Spent] = {}
        self._told = 0  # of the dropped spans, those that are written down
        self._dropped = 0  # here; the ledger counts its own
        self._failed = False
        self._thread = threading.Thread(target=self._run, name="traces", daemon=True)

    def start(self) -> None:
        """Begins to write."""
        self._thread.start()

    def close(self) -> None:
        """Writes what is left and ends."""
        self._over.set()
        if self._thread.is_alive():
            self._thread.join(timeout=15.0)

    def flush(self) -> None:
        """Writes what there is; keeps it for the next time where that fails."""
        # Spans first: what is dropped between the two is lost, and counted as that next time.
        self._waiting += self._ledger.drain()
        for key, used in self._ledger.drain_lost().items():
            self._lost[key] = self._lost.get(key, NOTHING) + used
        dropped = self._ledger.dropped + self._dropped - self._told
        if not self._waiting and not self._lost and not dropped:
            return
        try:
            self._store.write(self._waiting, self._lost, dropped)
        except StorageError as error:
            if not self._failed:
                log.warning("Traces wait to be written: %s", error)
            self._failed = True
            self._shorten()
            return
        if self._failed:
            log.info("Traces are written again.")
        self._failed = False
        self._waiting, self._lost = (), {}
        self._told += dropped

    def _shorten(self) -> None:
        """Keeps the newest of those that wait, and what the others used."""
        gone = self._waiting[: -self._ledger.most]
        for span in gone:
            key = Bill.of(span)
            if span.own != NOTHING and (key in self._lost or len(self._lost) < self._ledger.most):
                self._lost[key] = self._lost.get(key, NOTHING) + span.own
        self._dropped += len(gone)
        self._waiting = self._waiting[-self._ledger.most :]

    def _run(self) -> None:
        while not self._over.wait(self._every):
            self.flush()
        self.flush()
