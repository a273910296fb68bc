"""Giving memory back leaves a server as frozen as it was; keeping it ends with its block."""

from __future__ import annotations

import ctypes
import gc
import platform
import resource
from collections.abc import Iterator

import psutil
import pytest

from kataribe.base.freeing import give_back, kept


@pytest.fixture(autouse=True)
def thawed() -> Iterator[None]:
    gc.unfreeze()
    yield
    gc.unfreeze()


def test_what_was_frozen_is_frozen_again() -> None:
    gc.freeze()
    give_back()
    assert gc.get_freeze_count() > 0


def test_what_was_not_frozen_stays_so() -> None:
    give_back()
    assert gc.get_freeze_count() == 0


def _taken_and_let_go(times: int) -> int:
    """Pages that the system had to bring for a piece of 48 MB that is taken again and again."""
    libc = ctypes.CDLL(None)
    libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
    libc.free.argtypes = [ctypes.c_void_p]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(times):
        piece = libc.malloc(48 << 20)
        assert piece
        ctypes.memset(piece, 1, 48 << 20)
        libc.free(piece)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="about glibc's malloc")
def test_what_is_freed_stays_only_within() -> None:
    once = _taken_and_let_go(1)
    assert _taken_and_let_go(4) > 3 * once  # each time anew
    with kept():
        assert _taken_and_let_go(4) < 2 * once
    # Given back at the end, and afterwards as before.
    held = psutil.Process().memory_info().rss
    assert _taken_and_let_go(4) > 3 * once
    assert abs(psutil.Process().memory_info().rss - held) < 24 << 20
