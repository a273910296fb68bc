"""The walls: bubblewrap's command line, and how to find out whether it works on this machine.

Bubblewrap (https://github.com/containers/bubblewrap) puts the program into namespaces of its own:
no network but an empty one, no processes but its own, a file system of a few read-only folders
and its working folder, no capabilities, no way to new rights.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from kataribe.base.errors import UnsupportedError
from kataribe.sandbox.python_home import PythonHome

WORK = "/work"
INTERPRETER = "/opt/interpreter.py"
_NAMESPACES = ("user", "ipc", "pid", "net", "uts", "cgroup")
_ENVIRONMENT = {
    "HOME": WORK,
    "LANG": "C.UTF-8",
    "LD_LIBRARY_PATH": "/opt/python/lib",
    "MALLOC_ARENA_MAX": "2",  # each takes 64 MB of addresses
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "TMPDIR": WORK,
}
_DEVICES = ("/dev/null", "/dev/zero", "/dev/random", "/dev/urandom")


@dataclass(frozen=True, slots=True)
class Descriptors:
    """Of the host's process: where the filter of system calls is read, where the state is told."""

    seccomp: int
    status: int


def find_bubblewrap() -> str:
    """The path of `bwrap`; `UnsupportedError` says what is missing. Nothing is run unprotected."""
    if platform.system() != "Linux":
        raise UnsupportedError(
            f"Code can be run safely on Linux only, with bubblewrap; this is {platform.system()}. "
            "Run Kataribe in a Linux virtual machine or on a Linux server, or leave the tool out."
        )
    found = shutil.which("bwrap", path=f"{os.environ.get('PATH', '')}:/usr/bin:/usr/local/bin")
    if found is None:
        raise UnsupportedError(
            "Code can be run safely only with bubblewrap, and there is no `bwrap` on this machine. "
            "Install it (Debian, Ubuntu: apt install bubblewrap; Fedora: dnf install bubblewrap), "
            "or leave the tool out."
        )
    return found


def command_line(
    bwrap: str, home: PythonHome, folder: Path, descriptors: Descriptors, *, as_root: bool
) -> list[str]:
    """Bubblewrap with all that stands before the program's own arguments.

    As root no user namespace is made: the program takes a number of its own that nobody else has
    (`interpreter` does it, with the two rights that are left for it), so that not even files that
    belong to root outside would be its own.
    """
    line = [bwrap, "--die-with-parent", "--new-session", "--hostname", "sandbox"]
    line += [f"--unshare-{each}" for each in _NAMESPACES if not (as_root and each == "user")]
    if as_root:
        line += ["--cap-drop", "ALL", "--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]
    else:
        line += ["--uid", "65534", "--gid", "65534"]
    line += ["--clearenv"]
    for name, value in _ENVIRONMENT.items():
        line += ["--setenv", name, value]
    for parent in _parents([*_DEVICES, INTERPRETER, *(each.inside for each in home.shown)]):
        line += ["--perms", "0755", "--dir", parent]  # else 0700, and only root could look in
    for target, link in home.links:
        line += ["--symlink", target, link]
    for shown in home.shown:
        line += ["--ro-bind", shown.outside, shown.inside]
    for hidden in home.hidden:
        line += ["--tmpfs", hidden, "--remount-ro", hidden]
    line += ["--ro-bind", str(Path(__file__).with_name("interpreter.py")), INTERPRETER]
    for device in _DEVICES:  # read-only: root's own mode bits of them cannot be changed either
        line += ["--dev-bind", device, device, "--remount-ro", device]
    line += ["--bind", str(folder), WORK, "--chdir", "/", "--remount-ro", "/"]
    line += ["--seccomp", str(descriptors.seccomp), "--json-status-fd", str(descriptors.status)]
    return [*line, "--", home.executable, "-I", "-S", "-B", "-X", "utf8", INTERPRETER]


def _parents(paths: Iterable[str]) -> list[str]:
    found = {str(parent) for path in paths for parent in Path(path).parents}
    return sorted(found - {"/"})


def is_root() -> bool:
    """Whether this process is the machine's root: it may take any user's number.

    In a container whose root is an ordinary user outside, one number only is mapped, and it works
    as an ordinary user does.
    """
    if os.geteuid() != 0:
        return False
    rows = Path("/proc/self/uid_map").read_text(encoding="ascii").split("\n")
    return sum(int(row.split()[2]) for row in rows if row) > LAST_NUMBER


FIRST_NUMBER, LAST_NUMBER = 61_184, 65_519
"""Numbers of users that systemd keeps free for services that need one for a while."""


def refusal(words: str) -> UnsupportedError:
    """The error for a bubblewrap that does not work here, with its own words and the ways out."""
    causes = {
        "/proc/sys/kernel/unprivileged_userns_clone": ("0", "kernel.unprivileged_userns_clone=1"),
        "/proc/sys/user/max_user_namespaces": ("0", "user.max_user_namespaces=10000"),
        "/proc/sys/kernel/apparmor_restrict_unprivileged_userns": (
            "1",
            "kernel.apparmor_restrict_unprivileged_userns=0, or an AppArmor profile for bwrap",
        ),
    }
    for path, (bad, cure) in causes.items():
        if os.geteuid() != 0 and _first_word(path) == bad:
            words += f" (this system forbids it to ordinary users: sysctl {cure})"
    return UnsupportedError(
        f"Code can be run safely only with bubblewrap, which does not work here: {words}. In a "
        "container it needs the right to make namespaces (Docker: --security-opt "
        "seccomp=unconfined --cap-add SYS_ADMIN, or run Kataribe outside). Nothing was run."
    )


def _first_word(path: str) -> str:
    try:
        return Path(path).read_text(encoding="ascii").strip()
    except OSError:
        return ""


def version(bwrap: str) -> str:
    """What `bwrap --version` says, for `doctor` and reports."""
    done = subprocess.run([bwrap, "--version"], capture_output=True, text=True, check=False)  # noqa: S603
    return done.stdout.strip()
