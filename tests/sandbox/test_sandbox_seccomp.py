"""The filter of system calls, against the kernel's headers and a slow reading of its program."""

from __future__ import annotations

import re
import struct
from pathlib import Path

import pytest

from kataribe.base.errors import UnsupportedError
from kataribe.sandbox.seccomp import MACHINES, filter_program
from kataribe.sandbox.syscalls import ALLOWED, CHECKED, CLONE3, NEWEST_KNOWN, NOT_SUPPORTED

HEADERS = {
    "x86_64": "/usr/include/x86_64-linux-gnu/asm/unistd_64.h",
    "aarch64": "/usr/include/asm-generic/unistd.h",
}
ALLOW, EPERM, ENOSYS, ENOTSUP, KILL = "allow", 1, 38, 95, "kill"
TABLES = {**ALLOWED, **CHECKED, **NOT_SUPPORTED}


def run(program, audit, number, arguments=(0, 0, 0, 0, 0, 0)):
    """What the program answers, by the book: classic BPF's few instructions, one at a time."""
    data = struct.pack("=IIQ6Q", number, audit, 0, *arguments)
    lines = [struct.unpack_from("=HBBI", program, at) for at in range(0, len(program), 8)]
    at = held = 0
    while True:
        code, then, otherwise, value = lines[at]
        at += 1
        if code == 0x20:  # ld [k]
            held = struct.unpack_from("=I", data, value)[0]
        elif code == 0x06:  # ret k
            if value == 0x7FFF0000:
                return ALLOW
            return KILL if value == 0x80000000 else value & 0xFFFF
        else:
            holds = {
                0x15: held == value,  # jeq
                0x35: held >= value,  # jge
                0x45: bool(held & value),  # jset
            }[code]
            at += then if holds else otherwise


@pytest.mark.parametrize("machine", MACHINES)
def test_every_call_is_answered_as_the_tables_say(machine):
    column, audit = MACHINES[machine]
    program = filter_program(machine)
    assert len(program) % 8 == 0
    assert len(program) // 8 < 4096  # the kernel's limit
    allowed = {pair[column] for pair in ALLOWED.values()}
    odd = {pair[column] for pair in NOT_SUPPORTED.values()}
    checked = {pair[column] for pair in CHECKED.values()}
    for number in [*range(600), 0x40000000, 0x40000000 + 39, 2**32 - 1]:
        answer = run(program, audit, number)
        if number == CLONE3 or number > NEWEST_KNOWN:
            assert answer == ENOSYS, number
        elif number in allowed:
            assert answer == ALLOW, number
        elif number in odd:
            assert answer == ENOTSUP, number
        elif number not in checked:
            assert answer == EPERM, number


@pytest.mark.parametrize("machine", MACHINES)
def test_other_machines_numbers_kill(machine):
    program = filter_program(machine)
    for audit in (0x40000003, 0x40000028, 0, *(a for _, a in MACHINES.values())):
        if audit != MACHINES[machine][1]:
            assert run(program, audit, 0) == KILL


THREAD = 0x3D0F00
CASES = [
    ("clone", (THREAD,), ALLOW),
    ("clone", (THREAD & ~0x10000,), EPERM),  # a process
    ("clone", (17,), EPERM),  # fork
    ("clone", (0x4100 | 17,), EPERM),  # vfork
    *[("clone", (THREAD | 1 << bit,), EPERM) for bit in (13, 14, 17, 25, 26, 27, 28, 29, 30)],
    ("socketpair", (1, 1, 0), ALLOW),
    ("socketpair", (2, 1, 0), EPERM),
    ("ioctl", (0, 0x5401), ALLOW),
    ("ioctl", (0, 0x5412), EPERM),  # TIOCSTI
    ("ioctl", (0, 0x541C), EPERM),  # TIOCLINUX
    ("ioctl", (0, 0x5412 | 1 << 32), EPERM),  # the kernel looks at the low half, and so do we
    ("ioctl", (0, 0x5401 | 1 << 32), ALLOW),
    ("prctl", (15,), ALLOW),
    ("prctl", (4,), EPERM),  # PR_SET_DUMPABLE
    ("prctl", (38,), EPERM),
    ("openat", (0, 0, 0, 0o644), ALLOW),
    ("openat", (0, 0, 0o100, 0o4755), EPERM),
    ("open", (0, 0, 0o2755), EPERM),
    ("creat", (0, 0o4644), EPERM),
    ("chmod", (0, 0o777), ALLOW),
    ("chmod", (0, 0o1777), ALLOW),
    ("chmod", (0, 0o6777), EPERM),
    ("fchmod", (0, 0o4000), EPERM),
    ("fchmodat", (0, 0, 0o2000), EPERM),
    ("fchmodat", (0, 0, 0o755), ALLOW),
]


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize(("name", "given", "wanted"), CASES)
def test_arguments_that_are_looked_at(machine, name, given, wanted):
    column, audit = MACHINES[machine]
    number = CHECKED[name][column]
    if number is None:
        pytest.skip(f"{machine} has no {name}")
    arguments = (*given, *[0] * (6 - len(given)))
    assert run(filter_program(machine), audit, number, arguments) == wanted


@pytest.mark.parametrize("machine", MACHINES)
def test_numbers_are_the_kernels(machine):
    header = Path(HEADERS[machine])
    if not header.exists():
        pytest.skip(f"{header} is not installed (linux-libc-dev)")
    text = header.read_text()
    known = {
        name: int(number)
        for name, number in re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)", text)
    }
    known["newfstatat"] = known.get("newfstatat", known.get("fstatat"))
    column = MACHINES[machine][0]
    for name, pair in TABLES.items():
        assert pair[column] == known.get(name), name
    assert known["clone3"] == CLONE3


def test_an_unknown_machine_is_refused():
    with pytest.raises(UnsupportedError, match="riscv64"):
        filter_program("riscv64")


def test_no_call_stands_in_two_tables():
    assert len(TABLES) == len(ALLOWED) + len(CHECKED) + len(NOT_SUPPORTED)
