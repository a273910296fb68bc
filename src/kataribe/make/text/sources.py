"""Sources by name: each becomes a list of files on this machine."""

from __future__ import annotations

import os
import sysconfig
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from kataribe.base.errors import FormatError, NotFoundError
from kataribe.base.nearness import meant, near
from kataribe.make.text.debian import fetch_package
from kataribe.make.text.hub_data import fetch_data_set
from kataribe.make.text.hub_subsets import FORM, DataSetName
from kataribe.make.text.kinds import kind_of

STDLIB = "stdlib"
NAMED = (STDLIB, "debian:PACKAGE", FORM)
_NOT_STDLIB = frozenset(
    ["test", "tests", "idle_test", "site-packages", "dist-packages", "__pycache__", "_bundled"]
)


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file to read, and the label that its texts' ids begin with."""

    path: Path
    label: str


@dataclass(frozen=True, slots=True)
class Source:
    """A source with all its files at hand."""

    name: str
    """As it was asked for."""
    files: tuple[SourceFile, ...]
    """In the order in which they are read: sorted by label, so that it is always the same."""
    passed_over: tuple[tuple[str, str], ...] = ()
    """What is not read for its name alone: reason and label."""
    field: str = ""
    """The field of records that holds the text, where the name says it."""

    @property
    def bytes(self) -> int:
        """Size of the files as they lie there."""
        return sum(file.path.stat().st_size for file in self.files)


def open_source(name: str, cache: Path, report: Callable[[str], None]) -> Source:
    """Finds a source, fetching into `cache` what is not here; `report` is told what it waits for.

    Raises `NotFoundError` for an unknown name, and what fetching raises.
    """
    if name == STDLIB:
        return Source(name, tuple(_stdlib()))
    if name.startswith("debian:"):
        package = name.removeprefix("debian:")
        report(f"Fetching the Debian package {package}")
        deb = fetch_package(package, cache / "debian")
        return Source(name, (SourceFile(deb, package),))
    if name.startswith("hf:"):
        report(f"Fetching {name}")
        part = DataSetName.parse(name.removeprefix("hf:"))
        found = fetch_data_set(part, cache / "hf")
        files = tuple(SourceFile(path, label) for label, path in found)
        return Source(name, files, field=part.column)
    path = Path(name).expanduser()
    if path.is_dir():
        return _folder(name, path)
    if path.is_file():
        return Source(name, (SourceFile(path, path.name),))
    if path.exists():
        raise FormatError(f"{name} is neither a file nor a folder.")
    raise _unknown(name)


def _unknown(name: str) -> NotFoundError:
    words = [STDLIB, *(each.partition(":")[0] + ":" for each in NAMED[1:])]
    folder = Path(name).expanduser().parent
    asked = name
    if folder.is_dir() and not near(name, words):
        asked, words = Path(name).name, sorted(p.name for p in folder.iterdir())
    sources = f"Named sources: {', '.join(NAMED)}."
    return NotFoundError(
        f"There is no file or folder {name!r} and no source of that name. "
        f"{meant(asked, words, otherwise=sources, also=True)}",
        param="source",
    )


def _stdlib() -> Iterator[SourceFile]:
    """The Python files of the running interpreter's standard library, without its tests."""
    root = Path(sysconfig.get_path("stdlib"))
    found = sorted(
        path.relative_to(root).as_posix()
        for path in root.rglob("*.py")
        if path.is_file() and not _NOT_STDLIB.intersection(path.relative_to(root).parts[:-1])
    )
    if not found:
        raise NotFoundError(
            f"The standard library of this Python has no source files ({root}). Install them "
            "(Debian: libpython3-stdlib), or name another source.",
            param="source",
        )
    for label in found:
        yield SourceFile(root / label, f"{STDLIB}/{label}")


def _folder(name: str, root: Path) -> Source:
    """All files below a folder, hidden ones and links out of it left out."""
    files: list[SourceFile] = []
    passed: list[tuple[str, str]] = []
    inside = root.resolve()
    for folder, folders, names in os.walk(root, followlinks=False):
        hidden = [each for each in folders if each.startswith(".") or each == "__pycache__"]
        passed += [("hidden", os.path.relpath(Path(folder) / each, root)) for each in hidden]
        folders[:] = sorted(set(folders) - set(hidden))
        for each in names:
            path = Path(folder) / each
            label = path.relative_to(root).as_posix()
            if each.startswith("."):
                passed.append(("hidden", label))
            elif path.is_symlink() and not path.resolve().is_relative_to(inside):
                passed.append(("a link that leads out of the folder", label))
            elif not path.is_file():
                passed.append(("no regular file", label))
            else:
                files.append(SourceFile(path, label))
    files.sort(key=lambda file: file.label)
    if not any(kind_of(file.path.name) != "none" for file in files):
        raise NotFoundError(
            f"The folder {name} holds no file of text ({len(files)} files, {len(passed)} hidden "
            "or no regular files).",
            param="source",
        )
    return Source(name, tuple(files), tuple(passed))
