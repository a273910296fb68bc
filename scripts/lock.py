"""Writes the lock files: the closure of pyproject.toml's requirements as installed here.

`python scripts/lock.py` writes `requirements.lock` (what the program needs, and what builds it) and
`requirements-dev.lock` (what checking and testing need besides). `--check` compares instead: every
requirement in pyproject.toml must be met by a locked version. Locked are versions only, without
hashes or addresses, so that any mirror serves.
"""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
CORE, DEV = ROOT / "requirements.lock", ROOT / "requirements-dev.lock"
BUILD = ("editables", "hatchling")  # install kataribe itself, without asking the network


def wanted() -> tuple[list[str], list[str]]:
    """The requirements of the program (with its build) and of its development."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return [*project["project"]["dependencies"], *BUILD], project["dependency-groups"]["dev"]


def closure(requirements: Iterable[str]) -> dict[str, str]:
    """Versions of everything that the requirements need on this platform, by canonical name."""
    found: dict[str, str] = {}
    seen: set[tuple[str, frozenset[str]]] = set()
    waiting = [Requirement(line) for line in requirements]
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        if (name, frozenset(requirement.extras)) in seen:
            continue
        seen.add((name, frozenset(requirement.extras)))
        try:
            installed = distribution(name)
        except PackageNotFoundError:
            raise SystemExit(f"{requirement} is not installed; run `make install-dev`.") from None
        found[name] = installed.version.partition("+")[0]  # any build of that version will do
        for line in installed.requires or []:
            below = Requirement(line)
            extras = requirement.extras or {""}
            if below.marker is None or any(below.marker.evaluate({"extra": x}) for x in extras):
                waiting.append(below)
    return found


def read(path: Path) -> dict[str, str]:
    """The pins of a lock file."""
    lines = path.read_text(encoding="utf-8").splitlines()
    pins = (line.split("==", 1) for line in lines if line and not line.startswith(("#", "-r")))
    return dict(pins)


def check() -> list[str]:
    """What in pyproject.toml the lock files do not meet."""
    core, dev = wanted()
    locked = read(CORE)
    complaints = _unmet(core, locked, CORE.name)
    return complaints + _unmet(dev, locked | read(DEV), DEV.name)


def _unmet(requirements: Iterable[str], pins: dict[str, str], file: str) -> list[str]:
    complaints = []
    for line in requirements:
        requirement = Requirement(line)
        version = pins.get(canonicalize_name(requirement.name))
        if version is None:
            complaints.append(f"{file} lacks {requirement}; run `make lock`.")
        elif not requirement.specifier.contains(version, prereleases=True):
            complaints.append(f"{file} has {requirement.name} {version}, not {requirement}.")
    return complaints


def _write(path: Path, head: str, pins: dict[str, str]) -> None:
    body = "".join(f"{name}=={version}\n" for name, version in sorted(pins.items()))
    path.write_text(head + body, encoding="utf-8")


def main() -> int:
    """Writes the lock files, or with `--check` says what is wrong with them."""
    if "--check" in sys.argv[1:]:
        complaints = check()
        print("\n".join(complaints) or "The lock files meet pyproject.toml.")
        return 1 if complaints else 0
    core, dev = (closure(requirements) for requirements in wanted())
    _write(CORE, "# Written by scripts/lock.py (`make lock`).\n", core)
    extra = {name: version for name, version in dev.items() if name not in core}
    _write(DEV, "# Written by scripts/lock.py (`make lock`).\n-r requirements.lock\n", extra)
    print(f"Locked {len(core)} packages, and {len(extra)} more for development.")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
