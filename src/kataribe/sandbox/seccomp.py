"""The filter of system calls as a program of Linux's seccomp (classic BPF).

See seccomp(2) and the kernel's `Documentation/userspace-api/seccomp_filter.rst`. The filter is a
list of what is allowed: a call that is new or forgotten here is refused.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping

from kataribe.base.errors import UnsupportedError
from kataribe.sandbox.syscalls import (
    ALLOWED,
    CHECKED,
    CLONE3,
    NEWEST_KNOWN,
    NOT_SUPPORTED,
    Numbers,
)

MACHINES: Mapping[str, tuple[int, int]] = {
    "x86_64": (0, 0xC000003E),
    "aarch64": (1, 0xC00000B7),
}
"""Column in the tables of calls, and what the kernel calls it (linux/audit.h)."""

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _KILL = 0x7FFF0000, 0x80000000
_EPERM, _ENOSYS, _ENOTSUP = 0x50001, 0x50000 | 38, 0x50000 | 95
_NUMBER_AT, _MACHINE_AT, _ARGUMENTS_AT = 0, 4, 16

_THREAD = 0x00010000  # CLONE_THREAD
_NOT_WITH_CLONE = 0x7E020000 | 0x00004000 | 0x00002000  # CLONE_NEW..., CLONE_VFORK, CLONE_PTRACE
_SET_ID = 0o6000  # a program with these bits would run as whoever owns it, outside
_IOCTLS = (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)  # TCGETS, TIOCGWINSZ, FION..., FIO...EX
_PRCTLS = (15, 16, 0x53564D41)  # names of threads and of memory
_UNIX = 1


def filter_program(machine: str) -> bytes:
    """The program for processors of this kind (`platform.machine()`), as bubblewrap reads it.

    Raises `UnsupportedError` for a kind without a table.
    """
    if machine not in MACHINES:
        raise UnsupportedError(
            f"The sandbox has no list of system calls for processors of the kind {machine!r}; it "
            f"knows {', '.join(MACHINES)}. Run code on such a machine, or leave the tool out."
        )
    column, audit = MACHINES[machine]
    program = [
        (_LOAD, 0, 0, _MACHINE_AT),
        (_EQUAL, 1, 0, audit),
        (_RETURN, 0, 0, _KILL),  # 32-bit calls would have other numbers
        (_LOAD, 0, 0, _NUMBER_AT),
        (_AT_LEAST, 0, 1, NEWEST_KNOWN + 1),  # also x32's numbers, which have bit 30 set
        (_RETURN, 0, 0, _ENOSYS),
        (_EQUAL, 0, 1, CLONE3),
        (_RETURN, 0, 0, _ENOSYS),
    ]
    for answer, table in ((_ALLOW, ALLOWED), (_ENOTSUP, NOT_SUPPORTED)):
        for number in _numbers(table, column):
            program += [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, answer)]
    for name, numbers in CHECKED.items():
        number_or_none = numbers[column]
        if number_or_none is not None:
            check = _CHECKS[name]
            program += [(_EQUAL, 0, len(check), number_or_none), *check]
    program.append((_RETURN, 0, 0, _EPERM))
    return b"".join(struct.pack("=HBBI", *line) for line in program)


def _numbers(table: Numbers, column: int) -> list[int]:
    return sorted(number for pair in table.values() if (number := pair[column]) is not None)


def _argument(place: int) -> tuple[int, int, int, int]:
    return (_LOAD, 0, 0, _ARGUMENTS_AT + 8 * place)  # its low half; both machines are little-endian


def _one_of(place: int, values: tuple[int, ...]) -> list[tuple[int, int, int, int]]:
    lines = [_argument(place)]
    for value in values:
        lines += [(_EQUAL, 0, 1, value), (_RETURN, 0, 0, _ALLOW)]
    return [*lines, (_RETURN, 0, 0, _EPERM)]


def _without(place: int, bits: int) -> list[tuple[int, int, int, int]]:
    return [
        _argument(place),
        (_ANY_BIT, 0, 1, bits),
        (_RETURN, 0, 0, _EPERM),
        (_RETURN, 0, 0, _ALLOW),
    ]


_CHECKS: Mapping[str, list[tuple[int, int, int, int]]] = {
    "clone": [
        _argument(0),
        (_ANY_BIT, 2, 0, _NOT_WITH_CLONE),
        (_ANY_BIT, 0, 1, _THREAD),
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _EPERM),
    ],
    "socketpair": _one_of(0, (_UNIX,)),
    "ioctl": _one_of(1, _IOCTLS),
    "prctl": _one_of(0, _PRCTLS),
    "open": _without(2, _SET_ID),
    "openat": _without(3, _SET_ID),
    "creat": _without(1, _SET_ID),
    "chmod": _without(1, _SET_ID),
    "fchmod": _without(1, _SET_ID),
    "fchmodat": _without(2, _SET_ID),
}
