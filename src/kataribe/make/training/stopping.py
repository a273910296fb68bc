"""How a run learns that it should end: Ctrl-C, a signal, or a file in its folder."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType


class Stop:
    """Whether to end after this step; `why` says who wanted it."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.why = ""

    def __call__(self) -> bool:
        """Asked after every step: one look at the file system, some microseconds."""
        if not self.why and self._file.exists():
            self.why = "a stop file"
        return bool(self.why)


@contextlib.contextmanager
def listening(stop: Stop, notice: Callable[[str], None]) -> Iterator[None]:
    """Ctrl-C and SIGTERM end the run after the step; a second Ctrl-C at once.

    Only the main thread can listen to signals; elsewhere the file remains.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {kind: signal.getsignal(kind) for kind in (signal.SIGINT, signal.SIGTERM)}

    def asked(kind: int, frame: FrameType | None) -> None:  # noqa: ARG001
        if stop.why and kind == signal.SIGINT:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            raise KeyboardInterrupt
        stop.why = "Ctrl-C" if kind == signal.SIGINT else "a signal"
        notice("Stopping after this step; the checkpoint is written then. Ctrl-C again: at once.")

    try:
        for kind in before:
            signal.signal(kind, asked)
        yield
    finally:
        for kind, handler in before.items():
            signal.signal(kind, handler)
