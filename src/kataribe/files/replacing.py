"""What an export has written and a later one may replace: nothing else is ever removed.

An exported folder says in a file of its own which files were written; an exported GGUF file says
by a key that it is one. What a person made or changed since, or put beside it, is refused by name.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from kataribe.base.errors import FormatError, InputError
from kataribe.files.atomic import write_atomic
from kataribe.files.gguf import open_gguf

MARK = "kataribe-export.json"
"""The list of files in an exported folder."""
KEY = "kataribe.export"
"""The key in an exported GGUF file."""
FORMAT = 1
_HASHED = 1 << 20
"""Larger files are known by their size: to read weights again only for this takes too long."""


def mark_folder(folder: Path) -> None:
    """Writes down which files are in the folder; `StorageError` where that fails."""
    found = {name: _known(path) for name, path in _files(folder).items() if name != MARK}
    text = json.dumps({"format": FORMAT, "files": dict(sorted(found.items()))}, indent=2)
    write_atomic(folder / MARK, text + "\n")


def check_replaceable(target: Path) -> None:
    """Raises `InputError` for what is no export, or was changed since; it names what."""
    if target.is_symlink():
        raise _refusal(target, "is a link")
    if not target.is_dir():
        _check_file(target)
        return
    if not any(target.iterdir()):
        return
    written = _written(target)
    for name, path in sorted(_files(target).items()):
        if name == MARK:
            continue
        if name not in written:
            raise _refusal(target, f"holds {name}, which the export did not write")
        if _known(path) != written[name]:
            raise _refusal(target, f"holds {name}, which was changed since the export")


def _check_file(target: Path) -> None:
    try:
        ours = target.is_file() and KEY in open_gguf(target).metadata
    except FormatError:
        ours = False
    if not ours:
        raise _refusal(target, "is no export of Kataribe")


def _written(folder: Path) -> dict[str, Any]:
    try:
        found: Any = json.loads((folder / MARK).read_text(encoding="utf-8"))
        files = found["files"]
        if isinstance(files, dict):
            return files
    except FileNotFoundError:
        pass
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        raise _refusal(folder, f"has a damaged {MARK}") from None
    raise _refusal(folder, f"is no export of Kataribe (there is no {MARK})")


def _files(folder: Path) -> dict[str, Path]:
    """All that is no folder, links too, by its path below the folder."""
    return {
        path.relative_to(folder).as_posix(): path
        for path in folder.rglob("*")
        if path.is_symlink() or not path.is_dir()
    }


def _known(path: Path) -> str:
    if path.is_symlink() or not path.is_file():
        return "no file"
    size = path.stat().st_size
    if size > _HASHED:
        return f"{size} bytes"
    return f"sha256 {hashlib.sha256(path.read_bytes()).hexdigest()}"


def _refusal(target: Path, why: str) -> InputError:
    return InputError(
        f"{target} is not replaced, because it {why}. Choose another name, or move it away first."
    )
