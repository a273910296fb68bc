"""What this machine can do: memory, disk, and two quick measurements kept in the workspace."""

from __future__ import annotations

import functools
import json
import os
import platform
import shutil
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import psutil

from kataribe.base.errors import StorageError
from kataribe.base.workspace import Workspace
from kataribe.files.atomic import write_atomic

_VERSION = 1
MEASUREMENTS = 3
_SWEEP_BYTES = 96 << 20  # three times the level-3 cache of common machines
_MATRIX = 1024


@dataclass(frozen=True, slots=True)
class Machine:
    """Figures of this machine.

    Attributes:
        cores: Processor cores that this process may use.
        memory: Bytes of RAM.
        available: Bytes of RAM that are free for use now.
        disk_free: Bytes free where models are kept.
        bandwidth: Bytes of memory read per second, all cores together.
        matrix_rate: Float32 operations per second in a matrix product (a multiply-add is two).
        fast_bfloat16: The processor multiplies bfloat16 faster than float32.
    """

    cores: int
    memory: int
    available: int
    disk_free: int
    bandwidth: float
    matrix_rate: float
    fast_bfloat16: bool


@dataclass(frozen=True, slots=True)
class Speeds:
    """What was measured."""

    bandwidth: float
    matrix_rate: float


def look_at(workspace: Workspace) -> Machine:
    """This machine as it is now; the speeds are measured once (about 0.3 s) and kept."""
    memory = psutil.virtual_memory()
    speeds = measured_speeds(workspace)
    return Machine(
        cores=cores(),
        memory=_memory_limit(memory.total),
        available=min(memory.available, _memory_limit(memory.total)),
        disk_free=disk_free(workspace.models),
        bandwidth=speeds.bandwidth,
        matrix_rate=speeds.matrix_rate,
        fast_bfloat16=has_fast_bfloat16(),
    )


def measured_speeds(workspace: Workspace) -> Speeds:
    """The best speeds seen on this processor: measured at the first few calls, then only read.

    One measurement beside other busy programs says too little; the best of three seldom does.
    """
    path = workspace.root / "machine.json"
    key = {"version": _VERSION, "cores": cores(), "processor": _processor()}
    tries, best = _kept_speeds(path, key)
    if tries >= MEASUREMENTS:
        return best
    best = Speeds(
        max(best.bandwidth, measure_bandwidth(cores())),
        max(best.matrix_rate, measure_matrix_rate()),
    )
    kept = {"key": key, "measurements": tries + 1, **asdict(best)}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, json.dumps(kept, indent=2) + "\n")
    except (OSError, StorageError):
        pass  # a workspace that cannot be written costs a measurement each time, no more
    return best


def _kept_speeds(path: Path, key: dict[str, object]) -> tuple[int, Speeds]:
    """How often was measured and the best of it; nothing where the file is of another shape."""
    try:
        kept = json.loads(path.read_text("utf-8"))
        speeds = Speeds(float(kept["bandwidth"]), float(kept["matrix_rate"]))
        if kept["key"] == key and speeds.bandwidth > 0 and speeds.matrix_rate > 0:
            return int(kept["measurements"]), speeds
    except (OSError, ValueError, KeyError, TypeError):
        pass  # measure anew
    return 0, Speeds(0.0, 0.0)


def measure_bandwidth(threads: int) -> float:
    """Bytes read per second by all threads over more than the caches hold, best of three."""
    threads = max(1, min(threads, 16))
    arrays = [np.ones(_SWEEP_BYTES // threads // 4, dtype=np.float32) for _ in range(threads)]

    def read(array: np.ndarray[tuple[int], np.dtype[np.float32]]) -> None:
        array.max()  # NumPy lets go of the interpreter lock here, and reads every number once

    with ThreadPoolExecutor(threads) as pool:

        def sweep() -> None:
            list(pool.map(read, arrays))

        return sum(array.nbytes for array in arrays) / _best_seconds(sweep)


def measure_matrix_rate() -> float:
    """Float32 operations per second of NumPy's own matrix product, best of three."""
    left = np.ones((_MATRIX, _MATRIX), dtype=np.float32)
    out = np.empty_like(left)
    return 2.0 * _MATRIX**3 / _best_seconds(lambda: np.matmul(left, left, out=out))


def disk_free(folder: Path) -> int:
    """Bytes free on the disk that `folder` lies on, or would lie on."""
    place = folder
    while not place.exists() and place != place.parent:
        place = place.parent
    return shutil.disk_usage(place).free


def cores() -> int:
    """Processor cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _best_seconds(work: Callable[[], object]) -> float:
    work()
    best = float("inf")
    for _ in range(3):
        start = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - start)
    return max(best, 1e-9)


def peak_memory() -> int | None:
    """Most bytes of RAM that this process has taken so far; None where the system does not say."""
    try:
        lines = Path("/proc/self/status").read_text("ascii", "replace").splitlines()
    except OSError:
        return None
    told = next((line.split()[1] for line in lines if line.startswith("VmHWM:")), "")
    return int(told) * 1024 if told.isdigit() else None


def memory_limit() -> int:
    """Bytes of RAM that this process may use."""
    return _memory_limit(psutil.virtual_memory().total)


def _memory_limit(total: int) -> int:
    """RAM, or less where a container may use less (control groups, version 2 and 1)."""
    for name in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            told = Path(name).read_text("ascii").strip()
        except (OSError, ValueError):
            continue
        if told.isdigit() and int(told) > 0:
            return min(total, int(told))
    return total


def _cpu_info(label: str) -> str:
    try:
        with Path("/proc/cpuinfo").open(encoding="utf-8", errors="replace") as lines:
            for line in lines:
                if line.startswith(label):
                    return line.partition(":")[2].strip()
    except OSError:
        return ""
    return ""


def _processor() -> str:
    return _cpu_info("model name") or platform.processor() or platform.machine()


@functools.cache
def has_fast_bfloat16() -> bool:
    """The processor multiplies bfloat16 at least as fast as float32."""
    flags = set(_cpu_info("flags").split())
    return bool(flags & {"avx512_bf16", "amx_bf16"})
