"""What an export has written and a later one may replace: nothing else is ever removed.

An exported folder says in a file of its own which files were written, an exported GGUF file in a
key what it holds; both as SHA-256, of every byte. What a person made or changed since, or put
beside it, is refused by name.
"""

from __future__ import annotations

import hashlib
import json
import struct
from pathlib import Path
from typing import Any, BinaryIO

from kataribe.base.errors import FormatError, InputError
from kataribe.files.atomic import storage_error, write_atomic
from kataribe.files.gguf import open_gguf
from kataribe.files.gguf_values import STRING

MARK = "kataribe-export.json"
"""The list of files in an exported folder."""
KEY = "kataribe.export"
"""The key in an exported GGUF file."""
UNMARKED = "0" * 64
"""Its value until `mark_gguf` writes the hash there; hashed as what stands in that place."""
FORMAT = 2
"""1 knew files of more than 1 MiB by their size, and of a GGUF file nothing."""
_PLACE = struct.pack("<Q", len(KEY)) + KEY.encode() + struct.pack("<IQ", STRING, len(UNMARKED))
"""The key and its type, as they stand before the value in a file's header."""
_STEP = 1 << 20


def mark_folder(folder: Path) -> None:
    """Writes down what the files in the folder are; `StorageError` where that fails."""
    found = {name: _known(path) for name, path in _files(folder).items() if name != MARK}
    text = json.dumps({"format": FORMAT, "files": dict(sorted(found.items()))}, indent=2)
    write_atomic(folder / MARK, text + "\n")


def mark_gguf(path: Path) -> None:
    """Writes the hash of a file over its `UNMARKED` key.

    Raises `FormatError` where `KEY` is not there with that value, `StorageError` for the disk.
    """
    place = _gguf_place(path)
    if place is None or open_gguf(path).metadata[KEY] != UNMARKED:
        raise FormatError(f"{path} has no empty {KEY} to be marked by; write the file with it.")
    try:
        with path.open("r+b") as file:
            found = _hash(file, place)
            file.seek(place)
            file.write(found.encode())
    except OSError as error:
        raise storage_error(f"{path} cannot be marked", error) from error


def check_replaceable(target: Path) -> None:
    """Raises `InputError` for what is no export, or was changed since; it names what.

    Reads all of it: a change need not show in a size or a date. `StorageError` where that fails.
    """
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
        found = open_gguf(target).metadata.get(KEY) if target.is_file() else None
    except FormatError:
        found = None
    if found is None:
        raise _refusal(target, "is no export of Kataribe")
    place = _gguf_place(target)
    if place is None:
        raise _refusal(target, f"is of another format: its {KEY} does not say what it holds")
    try:
        with target.open("rb") as file:
            same = _hash(file, place) == found
    except OSError as error:
        raise storage_error(f"{target} cannot be read", error) from error
    if not same:
        raise _refusal(target, "was changed since the export")


def _gguf_place(path: Path) -> int | None:
    """Where the value of the key begins; None where the key is not there once, as a hash."""
    with path.open("rb") as file:
        header = file.read(open_gguf(path).data_offset)
    if header.count(_PLACE) != 1:
        return None
    return header.index(_PLACE) + len(_PLACE)


def _hash(file: BinaryIO, blank: int | None = None) -> str:
    """SHA-256 of all of a file; from `blank` on as if `UNMARKED` stood there."""
    found = hashlib.sha256()
    file.seek(0)
    if blank is not None:
        found.update(file.read(blank))
        found.update(UNMARKED.encode())
        file.seek(blank + len(UNMARKED))
    while piece := file.read(_STEP):
        found.update(piece)
    return found.hexdigest()


def _written(folder: Path) -> dict[str, Any]:
    try:
        found: Any = json.loads((folder / MARK).read_text(encoding="utf-8"))
        files, written = found["files"], found["format"]
        if not isinstance(files, dict):
            raise TypeError
    except FileNotFoundError:
        raise _refusal(folder, f"is no export of Kataribe (there is no {MARK})") from None
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        raise _refusal(folder, f"has a damaged {MARK}") from None
    if written != FORMAT:
        raise _refusal(folder, f"has a {MARK} of format {written!r}, and only {FORMAT} is known")
    return files


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
    try:
        with path.open("rb") as file:
            return f"sha256 {_hash(file)}"
    except OSError as error:
        raise storage_error(f"{path} cannot be read", error) from error


def _refusal(target: Path, why: str) -> InputError:
    return InputError(
        f"{target} is not replaced, because it {why}. Choose another name, or move it away first."
    )
