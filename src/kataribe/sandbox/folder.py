"""The folder of a sandboxed program, seen from outside: measured, read and removed without trust.

Whatever lies in it was put there by a stranger: links may point anywhere, names may be odd, a pipe
may wait for ever, folders may be nested beyond any path's length.
"""

from __future__ import annotations

import contextlib
import os
import stat
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from kataribe.base.errors import InputError, NotFoundError, StorageError

DEEPEST = 32
"""Folders inside each other; deeper ones count as too many files."""


_RIGHTS = 0o777
"""What a file keeps when its content is another: never the right to run as its owner (setuid)."""


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
        _note(state, folder, entry)
    return state


def whole_state_of(folder: Path, most_files: int) -> State:
    """Everything in a folder; `InputError` where that is more than `most_files` or unreadable.

    What is not in it may be removed as new, so nothing may be missing.
    """
    state: State = {}
    try:
        for entry, depth in _entries(folder, strict=True):
            if depth > DEEPEST or len(state) >= most_files:
                raise InputError(
                    f"The sandbox's folder {folder} holds more than {most_files} files and folders "
                    f"already, or more than {DEEPEST} folders in each other. Use another folder, "
                    "or allow more.",
                    param="folder",
                )
            _note(state, folder, entry)
    except OSError as error:
        raise InputError(
            f"The sandbox's folder cannot be read whole: {error.filename}: {error.strerror}.",
            param="folder",
        ) from error
    return state


def _note(state: State, folder: Path, entry: os.DirEntry[str]) -> None:
    try:
        found = entry.stat(follow_symlinks=False)
    except FileNotFoundError:
        return  # it is gone again
    plain = stat.S_ISREG(found.st_mode)
    known = (found.st_size, found.st_mtime_ns, found.st_ino) if plain else None
    state[os.path.relpath(entry.path, folder)] = known


def remove_new(folder: Path, before: State) -> None:
    """Removes whatever was not there `before`, which must have been whole; `StorageError`."""
    waiting = [folder]
    while waiting:
        path = waiting.pop()
        try:
            path.chmod(path.stat().st_mode | 0o700)  # its owner may have locked it
            with os.scandir(path) as found:
                entries = list(found)
            for entry in entries:
                is_folder = entry.is_dir(follow_symlinks=False)
                if os.path.relpath(entry.path, folder) in before:
                    waiting += [Path(entry.path)] if is_folder else []
                elif is_folder:
                    remove_tree(Path(entry.path))
                else:
                    Path(entry.path).unlink()
        except OSError as error:
            raise StorageError(f"{path} could not be tidied: {error.strerror}.") from error


def _entries(folder: Path, *, strict: bool = False) -> Iterator[tuple[os.DirEntry[str], int]]:
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
            if strict:
                raise
            continue  # gone, or made unreadable by whoever owns it


def entries_of(folder: Path) -> Iterator[tuple[str, int]]:
    """Path and size of every ordinary file, links not followed."""
    for entry, depth in _entries(folder):
        if depth > DEEPEST:
            return
        try:
            found = entry.stat(follow_symlinks=False)
        except OSError:
            continue
        if stat.S_ISREG(found.st_mode):
            yield os.path.relpath(entry.path, folder), found.st_size


def read_file(folder: Path, name: str, most_bytes: int) -> bytes:
    """A file's bytes; no part of its path may be a link, and it must be an ordinary file.

    Raises `NotFoundError` where there is no such file, `InputError` for a path that leaves the
    folder, for anything but an ordinary file, and for more than `most_bytes`.
    """
    parts = check_name(name)
    with _opened(folder, name, parts[:-1], make=False) as at, _told(name):
        # O_NONBLOCK: a pipe without a writer would hold the one who opens it.
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        descriptor = os.open(parts[-1], flags, dir_fd=at)
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode) or found.st_size > most_bytes:
        os.close(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise InputError(f"{name!r} is no ordinary file.", param="path")
        raise InputError(
            f"{name!r} has {found.st_size} bytes; at most {most_bytes} can be read at once.",
            param="path",
        )
    with os.fdopen(descriptor, "rb") as file:
        return file.read(most_bytes)


def write_file(folder: Path, name: str, data: bytes) -> None:
    """Writes a file whole or not at all, and the folders above it, without following any link.

    One that is replaced keeps its rights, and a new one has 0644. When this returns, the file is
    on the disk. Raises `InputError` for a path that leaves the folder or is taken by something
    else, and `StorageError` when the disk does not take it; what stood there before is then still
    there.
    """
    parts = check_name(name)
    beside = f".{uuid.uuid4().hex}.new"
    with _opened(folder, name, parts[:-1], make=True) as at:
        before = _what_stands(name, parts[-1], at)
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            # Nobody may read what replaces a private file while it is written.
            mode = 0o644 if before is None else 0o600
            with os.fdopen(os.open(beside, flags, mode, dir_fd=at), "wb") as file:
                _same_owner(file.fileno(), folder.stat())
                if before is not None:
                    os.fchmod(file.fileno(), stat.S_IMODE(before.st_mode) & _RIGHTS)
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(beside, parts[-1], src_dir_fd=at, dst_dir_fd=at)
            os.fsync(at)  # its name, too
        except OSError as error:
            with contextlib.suppress(OSError):
                os.unlink(beside, dir_fd=at)
            raise StorageError(f"{name!r} could not be written: {error.strerror}.") from error


@contextlib.contextmanager
def _opened(folder: Path, name: str, parts: list[str], *, make: bool) -> Iterator[int]:
    """The folder of a path, opened part by part (openat(2) with O_NOFOLLOW).

    So nothing can be swapped for a link on the way.
    """
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
    with _told(name):
        at = os.open(folder, flags)
    try:
        for part in parts:
            with _told(name):
                new = make and _make_folder(part, at)
                inner = os.open(part, flags | os.O_NOFOLLOW, dir_fd=at)
            os.close(at)
            at = inner
            if new:
                _same_owner(at, folder.stat())
        yield at
    finally:
        os.close(at)


@contextlib.contextmanager
def _told(name: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise NotFoundError(f"There is no file {name!r} in the folder.", param="path") from error
    except OSError as error:
        raise InputError(
            f"{name!r} cannot be opened: {error.strerror}. Links are not followed.", param="path"
        ) from error


def _what_stands(name: str, last: str, at: int) -> os.stat_result | None:
    """The ordinary file of that name; None where there is nothing."""
    with _told(name):
        try:
            found = os.stat(last, dir_fd=at, follow_symlinks=False)
        except FileNotFoundError:
            return None
    if not stat.S_ISREG(found.st_mode):
        raise InputError(f"{name!r} is there already, and is no ordinary file.", param="path")
    return found


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
    """Makes all of a folder this owner's (root only); links are changed, not followed.

    A file with further names is left alone: one of them may stand where it must not be given away.
    """
    os.chown(folder, owner, group)
    for entry, _ in _entries(folder):
        try:
            if (
                entry.is_dir(follow_symlinks=False)
                or entry.stat(follow_symlinks=False).st_nlink < 2
            ):
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
        try:
            path.rmdir()
        except OSError as error:
            raise StorageError(f"{path} could not be removed: {error.strerror}.") from error
