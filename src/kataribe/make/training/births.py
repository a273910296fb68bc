"""Which process is which: numbers come again, so each is known by its birth as well. No PyTorch."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TypeAlias

import psutil

Birth: TypeAlias = str | float
"""When a process began: ticks since the boot, with the boot's id, where the system tells (Linux);
elsewhere seconds since 1970."""

CLOCK_SECONDS = 5.0
"""Births in seconds since 1970 are the same up to so many: they move when the clock is set."""
BOOT = Path("/proc/sys/kernel/random/boot_id")


def birth(process: psutil.Process) -> Birth:
    """When a process began; raises `psutil.Error` where it is gone.

    On Linux `create_time` is ticks since the boot added to when the clock now says that the boot
    was: a clock that is set by a second makes it another. Ticks and boot stay.
    """
    with contextlib.suppress(OSError, ValueError, IndexError):
        boot = BOOT.read_text(encoding="ascii").strip()
        told = Path(f"/proc/{process.pid}/stat").read_text(encoding="utf-8", errors="replace")
        # The second field is the program's name, in which anything can stand: fields after it.
        return f"{boot} {int(told.rpartition(')')[2].split()[19])}"
    return process.create_time()


def find_process(pid: int, began: Birth | None) -> psutil.Process | None:
    """The process of that number that began then; None where it is gone, or nobody knows when.

    One that ended and that nobody has asked for its code yet (a zombie) is gone, too.
    """
    if began is None:
        return None  # whatever has that number now may be anybody's
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        if isinstance(began, str):
            same = birth(process) == began
        else:
            same = abs(process.create_time() - began) < CLOCK_SECONDS
    except (psutil.Error, ValueError):
        return None
    return process if same else None
