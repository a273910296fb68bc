"""Looks from outside whether the walls really stand, before any code is let in.

What the kernel says in `/proc` of the new process (proc(5)) is compared with what was meant. A
bubblewrap that was replaced, patched or told otherwise is found here, and nothing is run.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

_NAMESPACES = ("ipc", "mnt", "net", "pid", "uts")
# Not CapInh: what may be inherited counts only where a program file has rights, and NoNewPrivs
# makes the kernel ignore those.
_NO_RIGHTS = ("CapPrm", "CapEff", "CapAmb")
_NAMES = {
    "RLIMIT_AS": "Max address space",
    "RLIMIT_CORE": "Max core file size",
    "RLIMIT_FSIZE": "Max file size",
    "RLIMIT_NOFILE": "Max open files",
    "RLIMIT_NPROC": "Max processes",
}


def missing_walls(pid: int, uid: int, limits: Mapping[str, int]) -> list[str]:
    """What is not as it was meant: for the process `pid`, which should run as user `uid`."""
    process = Path("/proc", str(pid))
    try:
        status = _status((process / "status").read_text(encoding="utf-8", errors="replace"))
        rlimits = (process / "limits").read_text(encoding="ascii")
        shared = [
            name
            for name in _NAMESPACES
            if (process / "ns" / name).readlink() == Path("/proc/self/ns", name).readlink()
        ]
    except OSError as error:
        return [f"its state cannot be read ({error.strerror})"]
    missing = [f"it shares the {name} namespace" for name in shared]
    if set(status["Uid"].split()) != {str(uid)}:
        missing.append(f"it runs as user {status['Uid']} instead of {uid}")
    missing += [
        f"it has rights ({name} {status[name]})" for name in _NO_RIGHTS if _any(status[name])
    ]
    if status.get("NoNewPrivs") != "1":
        missing.append("it could gain rights")
    if status.get("Seccomp") != "2":
        missing.append("its system calls are not filtered")
    if status.get("Threads") != "1":
        missing.append("it has several threads already")
    for name, value in limits.items():
        if name in _NAMES and not _holds(rlimits, _NAMES[name], value):
            missing.append(f"its limit {name} is not {value}")
    return missing


def _status(text: str) -> dict[str, str]:
    pairs = (line.partition(":") for line in text.splitlines())
    return {name: value.strip() for name, _, value in pairs}


def _any(hexadecimal: str) -> bool:
    return int(hexadecimal, 16) != 0


def _holds(text: str, name: str, value: int) -> bool:
    for line in text.splitlines():
        if line.startswith(name):
            return line[len(name) :].split()[:2] == [str(value), str(value)]
    return False


def cpu_seconds(pid: int) -> float:
    """Processor time that a process has used (proc(5), `stat`); 0 when it is gone."""
    try:
        text = Path("/proc", str(pid), "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return 0.0
    fields = text.rpartition(")")[2].split()  # its name may hold anything
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def unlinked_bytes(pid: int) -> int:
    """Bytes on the disk of files that a process holds open and that have no name any more."""
    total = 0
    try:
        descriptors = list(Path("/proc", str(pid), "fd").iterdir())
    except OSError:
        return 0
    for descriptor in descriptors:
        try:
            found = descriptor.stat()
        except OSError:
            continue
        if found.st_nlink == 0:
            total += 512 * found.st_blocks
    return total


def only_child(pid: int) -> int | None:
    """The one child of a process, when it has just one."""
    try:
        text = Path("/proc", str(pid), "task", str(pid), "children").read_text(encoding="ascii")
    except OSError:
        return None
    found = text.split()
    return int(found[0]) if len(found) == 1 else None
