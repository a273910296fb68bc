"""Where this Python's parts lie, and where they stand inside the sandbox.

Only what an interpreter needs is shown inside, read-only: the executable, its own library, the
system's shared libraries and time zones. What was installed beside it is not there, except
packages that are named. Inside, Python stands at one fixed place, so that no path of the host
(which may hold a person's name) is told.
"""

from __future__ import annotations

import importlib.util
import os
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from kataribe.base.errors import NotFoundError

HOME = "/opt/python"
PACKAGES = "/opt/packages"


@dataclass(frozen=True, slots=True)
class Shown:
    """Something of the host that is shown inside, read-only."""

    outside: str
    inside: str


@dataclass(frozen=True, slots=True)
class PythonHome:
    """A Python for the sandbox.

    Attributes:
        shown: What has to be there; nothing lies in something else.
        hidden: Folders inside that are covered with empty ones.
        links: Symbolic links: what they say, and where they stand.
        executable: The interpreter's path inside.
    """

    shown: tuple[Shown, ...]
    hidden: tuple[str, ...]
    links: tuple[tuple[str, str], ...]
    executable: str


def python_home(packages: Sequence[str] = ()) -> PythonHome:
    """This process's own Python, and of what is installed only these packages.

    Raises `NotFoundError` for a package that is not installed.
    """
    name = f"python{sys.version_info.major}.{sys.version_info.minor}"
    executable = f"{HOME}/bin/{name}"
    library = f"{HOME}/{sys.platlibdir}/{name}"
    base = {"base": sys.base_prefix, "platbase": sys.base_exec_prefix}
    outside = sysconfig.get_path("stdlib", vars={**base, "installed_base": sys.base_prefix})
    shown = [Shown(str(_base_executable()), executable), Shown(outside, library)]
    shown += [Shown(path, f"{HOME}/lib/{Path(path).name}") for path in _own_shared_library()]
    shown += _system()
    for package in packages:
        shown += _package(package)
    hidden = tuple(
        f"{library}/{each}"
        for each in ("site-packages", "dist-packages", "test")
        if (Path(outside) / each).is_dir()
    )
    return PythonHome(tuple(shown), hidden, tuple(_links()), executable)


def _base_executable() -> Path:
    """The interpreter itself, behind the links of virtual environments."""
    given: str = getattr(sys, "_base_executable", sys.executable) or sys.executable
    return Path(given).resolve()


def _own_shared_library() -> list[str]:
    folder, name = sysconfig.get_config_var("LIBDIR"), sysconfig.get_config_var("INSTSONAME")
    if not folder or not name or not str(name).startswith("libpython"):
        return []
    path = Path(str(folder)) / str(name)
    return [str(path)] if ".so" in path.name and path.is_file() else []


def _system() -> Iterator[Shown]:
    """Folders of shared libraries of the system, and the time zones."""
    several = [f"/usr/lib/{folder}" for folder in _multiarch() if Path("/usr/lib", folder).is_dir()]
    folders = [*(several or ["/usr/lib"]), "/usr/lib64", "/usr/share/zoneinfo", "/nix/store"]
    for old in ("/lib", "/lib64"):
        if not Path(old).is_symlink():  # a system where it is not one with /usr
            inner = [f"{old}/{each}" for each in _multiarch() if Path(old, each).is_dir()]
            folders += inner or [old]
    for folder in folders:
        if Path(folder).is_dir():
            yield Shown(str(Path(folder).resolve()), folder)


def _multiarch() -> tuple[str, ...]:
    machine = os.uname().machine
    return (f"{machine}-linux-gnu", f"{machine}-linux-musl")


def _links() -> Iterator[tuple[str, str]]:
    for old in ("/lib", "/lib64"):
        if Path(old).is_symlink():
            yield str(Path(old).readlink()), old


def _package(name: str) -> Iterator[Shown]:
    try:
        found = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        found = None
    if found is None or not (found.submodule_search_locations or found.origin):
        raise NotFoundError(
            f"The package {name!r} that sandboxed code was to have is not installed. Install it, "
            "or leave it out."
        )
    for path in found.submodule_search_locations or [str(found.origin)]:
        yield Shown(path, f"{PACKAGES}/{Path(path).name}")
        beside = Path(f"{path}.libs")  # shared libraries that wheels bring (auditwheel)
        if beside.is_dir():
            yield Shown(str(beside), f"{PACKAGES}/{beside.name}")
