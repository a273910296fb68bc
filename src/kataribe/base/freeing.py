"""Memory that is no longer needed goes back to the system at once."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import threading

_FREEZING = threading.Lock()


def give_back() -> None:
    """Frees what only points at itself, and returns free memory (glibc keeps it otherwise).

    A model that went is such: engine, replies and those who waited for them point at each other,
    and a collection that comes by itself may come gigabytes later. What a server has frozen is
    looked at, too: it froze whatever was loading when it began. All that takes tenths of a
    second, in which no other thread runs Python.
    """
    with _FREEZING:  # another must not see it unfrozen, and leave it so
        frozen = gc.get_freeze_count() > 0
        gc.unfreeze()
        gc.collect()
        if frozen:
            gc.freeze()
    with contextlib.suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)
