"""What there is to compute with, found out without PyTorch: threads, and whether an accelerator."""

from __future__ import annotations

import math
import os
import platform
import sys
from pathlib import Path

_CPU_TOPOLOGY = Path("/sys/devices/system/cpu")
_CPU_LIMIT = Path("/sys/fs/cgroup/cpu.max")
_ACCELERATORS = ("/dev/nvidiactl", "/dev/dxg", "/dev/kfd")  # NVIDIA, Windows' subsystem, AMD


def usable_threads(topology: Path = _CPU_TOPOLOGY, limit: Path = _CPU_LIMIT) -> int:
    """One per physical core that this process may use, at most what its control group allows.

    Two threads of one core share its units for products, so a second one only gets in the way.
    """
    allowed = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None
    if allowed is None:
        return max(1, (os.cpu_count() or 1) // (1 if platform.machine() == "arm64" else 2))
    cores = {_siblings(topology, cpu) for cpu in allowed}
    return max(1, min(len(cores), _quota(limit)))


def has_accelerator() -> bool:
    """There may be a device that PyTorch computes on besides the processor; it knows for sure."""
    if sys.platform != "linux":
        return True
    return any(Path(device).exists() for device in _ACCELERATORS)


def on_processor(device: str) -> bool:
    """Models are computed on the processor under this setting (cpu, cuda, ..., auto)."""
    return device == "cpu" or (device == "auto" and not has_accelerator())


def _siblings(topology: Path, cpu: int) -> str:
    """The logical processors of a processor's core, as the system names them."""
    try:
        return (topology / f"cpu{cpu}/topology/thread_siblings_list").read_text()
    except OSError:
        return str(cpu)


def _quota(limit: Path) -> int:
    """Whole cores that the control group grants; without a limit, more than any machine has."""
    try:
        quota, _, period = limit.read_text().partition(" ")
        return math.ceil(int(quota) / int(period))
    except (OSError, ValueError):  # no such file, or "max"
        return 1 << 16
