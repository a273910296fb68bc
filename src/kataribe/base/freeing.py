"""When memory that is free goes back to the system: at once, or not before a block ends."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import threading
from collections.abc import Iterator

_FREEZING = threading.Lock()
_SET_ASIDE = set[object]()
"""One for each block of `set_aside` that is open."""

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD, _MMAP_MAX = -1, -2, -3, -4
"""glibc's names of what `mallopt` sets (malloc.h)."""


@contextlib.contextmanager
def set_aside() -> Iterator[None]:
    """Within, full collections of garbage leave out what was there before (`gc.freeze`).

    For a server: walking all of what it began with would hold every reply up for a tenth of a
    second and more. Only `give_back` looks at it.
    """
    block = object()
    with _FREEZING:
        gc.collect()
        gc.freeze()
        _SET_ASIDE.add(block)
    try:
        yield
    finally:
        with _FREEZING:
            _SET_ASIDE.remove(block)
            if not _SET_ASIDE:
                gc.unfreeze()


def give_back() -> None:
    """Frees what only points at itself, and returns free memory (glibc keeps it otherwise).

    A model that went is such: engine, replies and those who waited for them point at each other,
    and a collection that comes by itself may come gigabytes later. What `set_aside` has frozen is
    looked at, too: a server froze whatever was loading when it began. What the host program froze
    by itself stays so. All that takes tenths of a second, in which no other thread runs Python.
    """
    with _FREEZING:  # another must not see it unfrozen, and leave it so
        if _SET_ASIDE:
            gc.unfreeze()
        gc.collect()
        if _SET_ASIDE:
            gc.freeze()
    trim()


def trim() -> None:
    """Returns free memory alone, also out of the holes between what is held: milliseconds."""
    with contextlib.suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)


@contextlib.contextmanager
def kept() -> Iterator[None]:
    """Within, what is freed stays with the process, for who soon takes as much again.

    glibc gives pieces of 32 MB and more back as soon as they are free, and the system clears their
    pages when they are taken again: 50,000 of them for a step of a model of 10 million parameters,
    2 to 4 % of its time. Afterwards glibc does what it does by itself after some large pieces.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):  # another C library, another system
        yield
        return
    mallopt(_MMAP_MAX, 0)
    mallopt(_TRIM_THRESHOLD, 2**31 - 1)
    mallopt(_TOP_PAD, 64 << 20)
    try:
        yield
    finally:
        mallopt(_MMAP_MAX, 65536)
        mallopt(_MMAP_THRESHOLD, 32 << 20)
        mallopt(_TRIM_THRESHOLD, 64 << 20)
        mallopt(_TOP_PAD, 128 << 10)
        give_back()
