"""Giving memory back leaves a server as frozen as it was; keeping it ends with its block."""

from __future__ import annotations

import gc
import platform
import subprocess
import sys
from collections.abc import Iterator

import pytest

from kataribe.base.freeing import give_back


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


TAKING = """
import ctypes, resource
from kataribe.base.freeing import kept

def pages(times):
    libc = ctypes.CDLL(None)
    libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
    libc.free.argtypes = [ctypes.c_void_p]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(times):
        piece = libc.malloc(96 << 20)
        ctypes.memset(piece, 1, 96 << 20)
        libc.free(piece)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

print(pages(1), pages(4))
with kept():
    print(pages(4))
print(pages(4))
"""
"""How many pages the system has to bring for a piece of 96 MB that is taken again and again."""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="about glibc's malloc")
def test_what_is_freed_stays_only_within() -> None:
    done = subprocess.run(
        [sys.executable, "-c", TAKING], check=True, capture_output=True, text=True
    )  # a process of its own: what others have freed in this one would be taken again
    once, again, within, afterwards = map(int, done.stdout.split())
    assert again > 3 * once  # each time anew
    assert within < 2 * once
    assert afterwards > 3 * once
