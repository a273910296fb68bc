"""What the machine is, and what others computed on it while figures were taken."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any

TICKS = os.sysconf("SC_CLK_TCK")
FEATURES = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "avx512_fp16", "amx_bf16")


def facts() -> dict[str, Any]:
    """Processor, cores, memory, system and the versions of what is ours."""
    told: dict[str, str] = {}
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        told.setdefault(name.strip(), value.strip())
    family = f"family {told.get('cpu family', '?')}, model {told.get('model', '?')}"
    flags = set(told.get("flags", told.get("Features", "")).split())
    return {
        "processor": f"{told.get('model name', platform.machine())} ({family})",
        "features": [name for name in FEATURES if name in flags],
        "cores": len(os.sched_getaffinity(0)),
        "memory": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "system": platform.platform(),
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in ("kataribe", "torch")},
        },
    }


def _busy_seconds() -> float:
    """CPU time of everything on this machine, and what its host took from it."""
    line = Path("/proc/stat").read_text().split("\n", 1)[0]
    user, nice, system, _idle, _wait, irq, soft, steal = map(int, line.split()[1:9])
    return (user + nice + system + irq + soft + steal) / TICKS


def _own_seconds(pids: Iterable[int]) -> float:
    total = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        total += sum(map(int, fields[11:15]))  # user and system, own and of ended children
    return total / TICKS


class Watch:
    """How many cores others kept busy from here to `others()`.

    The load average cannot say it: it counts what is measured too.
    """

    def __init__(self, pids: Iterable[int]) -> None:
        self.pids = [os.getpid(), *pids]
        self.load = os.getloadavg()[0]
        self.start = time.perf_counter()
        self.busy, self.own = _busy_seconds(), _own_seconds(self.pids)

    def others(self) -> float:
        """Cores that work of others took, on average."""
        seconds = time.perf_counter() - self.start
        busy, own = _busy_seconds() - self.busy, _own_seconds(self.pids) - self.own
        return max(0.0, (busy - own) / seconds)
