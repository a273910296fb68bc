"""Giving memory back leaves a server as frozen as it was; keeping it ends with its block."""

from __future__ import annotations

import gc
import platform
import subprocess
import sys
import weakref
from collections.abc import Iterator

import pytest

from kataribe.base.freeing import give_back, set_aside


class Ring:
    """Only a collection frees it: it points at itself."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture(autouse=True)
def thawed() -> Iterator[None]:
    gc.unfreeze()
    yield
    gc.freeze()  # as tests/conftest.py has it


def test_what_was_set_aside_is_looked_at_and_set_aside_again() -> None:
    ring = Ring()
    gone = weakref.ref(ring)
    with set_aside():
        del ring
        gc.collect()
        assert gone() is not None
        give_back()
        assert gone() is None
        assert gc.get_freeze_count() > 0
    assert gc.get_freeze_count() == 0


def test_what_a_program_froze_itself_is_left_to_it() -> None:
    ring = Ring()
    gone = weakref.ref(ring)
    gc.freeze()
    del ring
    give_back()
    assert gone() is not None
    assert gc.get_freeze_count() > 0


def test_what_nobody_froze_stays_so() -> None:
    ring = Ring()
    gone = weakref.ref(ring)
    del ring
    give_back()
    assert gone() is None
    assert gc.get_freeze_count() == 0


def test_the_last_of_several_lets_go() -> None:
    with set_aside():
        with set_aside():
            pass
        assert gc.get_freeze_count() > 0
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
