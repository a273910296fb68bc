"""The folder of a sandboxed program, seen from outside: measured, read and removed without trust.

Whatever lies in it was put there by a stranger: links may point anywhere, names may be odd, a pipe
may wait for ever, folders may be nested beyond any path's length.
"""

from __future__ import annotations

import os
import stat
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from kataribe.base.errors import InputError, NotFoundError, StorageError

DEEPEST = 32
"""Folders inside each other; deeper ones count as too many files."""


@dataclass(frozen=True, slots=True)
class Size:
    """What a folder takes: bytes on the disk, and files and folders in it."""

    bytes: int
    files: int


State = dict[str, tuple[int, int, int] | None]
"""What is in a folder, by paths: of files size, time of the last change in ns and inode."""


def measure(folder: Path, most_files: int) -> Size:
    """What a folder takes; stops counting past `most_files`, or where it is nested too deep."""
    blocks = files = 0
    for entry, depth in _entries(folder):
        files += most_files if depth > DEEPEST else 1
        if files > most_files:
            break
        try:
            blocks += entry.stat(follow_symlinks=False).st_blocks
        except OSError:
            continue  # it is gone again
    return Size(512 * blocks, files)


def state_of(folder: Path, most_files: int) -> State:
    """Everything in a folder, up to `most_files` entries; None for what is no ordinary file."""
    state: State = {}
    for entry, depth in _entries(folder):
        if depth > DEEPEST or len(state) >= most_files:
            break
        try:
            found = entry.stat(follow_symlinks=False)
        except OSError:
            continue
        plain = stat.S_ISREG(found.st_mode)
        known = (found.st_size, found.st_mtime_ns, found.st_ino) if plain else None
        state[os.path.relpath(entry.path, folder)] = known
    return state


def remove_new(folder: Path, before: State) -> None:
    """Removes whatever was not there `before`."""
    waiting = [folder]
    while waiting:
        with os.scandir(waiting.pop()) as found:
            entries = list(found)
        for entry in entries:
            is_folder = entry.is_dir(follow_symlinks=False)
            if os.path.relpath(entry.path, folder) in before:
                waiting += [Path(entry.path)] if is_folder else []
            elif is_folder:
                remove_tree(Path(entry.path))
            else:
                Path(entry.path).unlink()


def _entries(folder: Path) -> Iterator[tuple[os.DirEntry[str], int]]:
    waiting = [(str(folder), 1)]
    while waiting:
        path, depth = waiting.pop()
        try:
            with os.scandir(path) as found:
                for entry in found:
                    yield entry, depth
                    if depth <= DEEPEST and entry.is_dir(follow_symlinks=False):
                        waiting.append((entry.path, depth + 1))
        except OSError:
            continue  # gone, or made unreadable by whoever owns it


def read_file(folder: Path, name: str, most_bytes: int) -> bytes:
    """A file's bytes; no part of its path may be a link, and it must be an ordinary file.

    Raises `NotFoundError` where there is no such file, `InputError` for a path that leaves the
    folder, for anything but an ordinary file, and for more than `most_bytes`.
    """
    descriptor = _open(folder, name, os.O_RDONLY)
    with os.fdopen(descriptor, "rb") as file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode):
            raise InputError(f"{name!r} is no ordinary file.", param="path")
        if found.st_size > most_bytes:
            raise InputError(
                f"{name!r} has {found.st_size} bytes; at most {most_bytes} can be read at once.",
                param="path",
            )
        return file.read(most_bytes)


def write_file(folder: Path, name: str, data: bytes) -> None:
    """Writes a file, and the folders above it, without following any link.

    Raises `InputError` for a path that leaves the folder or is taken by something else, and
    `StorageError` when the disk does not take it.
    """
    descriptor = _open(folder, name, os.O_WRONLY | os.O_CREAT)
    try:
        with os.fdopen(descriptor, "wb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise InputError(f"{name!r} is no ordinary file.", param="path")
            os.ftruncate(file.fileno(), 0)
            _same_owner(file.fileno(), os.stat(folder))
            file.write(data)
    except OSError as error:
        raise StorageError(f"{name!r} could not be written: {error.strerror}.") from error


def _open(folder: Path, name: str, flags: int) -> int:
    """Opens a path part by part (openat(2) with O_NOFOLLOW), so that nothing can be swapped."""
    parts = check_name(name)
    at = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for part in parts[:-1]:
            new = bool(flags & os.O_CREAT) and _make_folder(part, at)
            inner = os.open(
                part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=at
            )
            if new:
                _same_owner(inner, os.stat(folder))
            os.close(at)
            at = inner
        # O_NONBLOCK: a pipe without a writer would hold the one who opens it.
        safe = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        return os.open(parts[-1], flags | safe, 0o644, dir_fd=at)
    except FileNotFoundError as error:
        raise NotFoundError(f"There is no file {name!r} in the folder.", param="path") from error
    except OSError as error:
        raise InputError(
            f"{name!r} cannot be opened: {error.strerror}. Links are not followed.", param="path"
        ) from error
    finally:
        os.close(at)


def _make_folder(name: str, at: int) -> bool:
    try:
        os.mkdir(name, 0o755, dir_fd=at)
    except FileExistsError:
        return False
    return True


def _same_owner(descriptor: int, owner: os.stat_result) -> None:
    """What root puts in belongs to whoever the folder belongs to."""
    if os.geteuid() == 0:
        os.fchown(descriptor, owner.st_uid, owner.st_gid)


def check_name(name: str) -> list[str]:
    """The parts of a path below a folder; `InputError` where it is none or leads out."""
    parts = name.split("/")
    if not name or "\0" in name or any(part in ("", ".", "..") for part in parts):
        raise InputError(
            f"{name!r} is no path inside the folder. Give one like 'data/table.csv', without a "
            "leading slash, '.' or '..'.",
            param="path",
        )
    return parts


def give_to(folder: Path, owner: int, group: int) -> None:
    """Makes all of a folder this owner's (root only); links are changed, not followed."""
    os.chown(folder, owner, group)
    for entry, _ in _entries(folder):
        try:
            os.chown(entry.path, owner, group, follow_symlinks=False)
        except FileNotFoundError:
            continue


def remove_tree(folder: Path) -> None:
    """Removes a folder with all that is in it, however deep, without following links.

    What lies too deep for a path is first moved up. `StorageError` says what is left.
    """
    waiting = [(folder, 0)]
    emptied: list[Path] = []
    while waiting:
        path, depth = waiting.pop()
        emptied.append(path)
        try:
            path.chmod(0o700)  # its owner may have locked it
            with os.scandir(path) as found:
                entries = list(found)
            for entry in entries:
                if not entry.is_dir(follow_symlinks=False):
                    Path(entry.path).unlink()
                elif depth < DEEPEST // 2:
                    waiting.append((Path(entry.path), depth + 1))
                else:
                    moved = folder / uuid.uuid4().hex
                    Path(entry.path).rename(moved)
                    waiting.append((moved, 1))
        except OSError as error:
            raise StorageError(f"{path} could not be emptied: {error.strerror}.") from error
    for path in reversed(emptied):
        path.rmdir()
