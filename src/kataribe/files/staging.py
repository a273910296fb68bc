"""A file or folder made beside its target; it takes the name only when it is whole and checked.

A target that is there is exchanged with the new one in one step, where the system can do that
(Linux). Elsewhere a folder is put aside first; what a crash between the two steps leaves aside is
put back by the next try. So there is always the old one or the new one, and never half of either.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import hashlib
import os
import re
import secrets
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from kataribe.base.errors import InputError
from kataribe.files.atomic import storage_error, sync_folder

_AT_WORKING_FOLDER = -100
_EXCHANGE = 2
"""AT_FDCWD and RENAME_EXCHANGE of renameat2(2)."""
_LOCK, _OLD = "lock", "old"
_LONGEST_NAME, _SHORTENED = 100, 40
"""Bytes of a name that is taken as it is, and letters of a longer one: what stands before and
behind them has to fit into the 255 bytes of a name, too."""


@contextlib.contextmanager
def staged(target: Path, *, may_replace: Callable[[Path], None] | None = None) -> Iterator[Path]:
    """A path to write to; it becomes `target` when the block ends well, and vanishes when not.

    Args:
        target: A file or a folder; the folder that holds it is made if it is not there.
        may_replace: Raises where an existing target may not be replaced; None: none may. It is
            asked before and after, and the target stays as it is until then.

    Raises:
        InputError: The target exists and may not be replaced.
        StorageError: The disk.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _clear_up(target)
        _refuse_existing(target, may_replace)
        beside = target.parent / f"{_stem(target)}{os.getpid()}-{secrets.token_hex(4)}.part"
        beside.mkdir()
    except OSError as error:
        raise storage_error(f"{target} cannot be written", error) from error
    try:
        with _held(beside / _LOCK):
            yield beside / target.name
            _refuse_existing(target, may_replace)
            _take_name(beside, target)
    except OSError as error:
        raise storage_error(f"{target} cannot be written", error) from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _stem(target: Path) -> str:
    """What begins the names of folders beside this target and of no other one's."""
    whole = os.fsencode(target.name)
    if len(whole) <= _LONGEST_NAME:
        return f".{target.name}."
    return f".{target.name[:_SHORTENED]}~{hashlib.sha256(whole).hexdigest()[:16]}."


def _refuse_existing(target: Path, may_replace: Callable[[Path], None] | None) -> None:
    if not os.path.lexists(target):
        return
    if may_replace is None:
        raise InputError(f"{target} exists already. Choose another name, or add --replace.")
    may_replace(target)


def _take_name(beside: Path, target: Path) -> None:
    made = beside / target.name
    _sync(made)
    if not (os.path.lexists(target) and (target.is_dir() or made.is_dir())):
        made.replace(target)  # one step: there is nothing, or a file that a file replaces
    elif not _exchange(made, target):
        old = beside / _OLD
        target.rename(old)
        try:
            made.rename(target)
        except OSError:
            old.rename(target)
            raise
    sync_folder(target.parent)


def _exchange(one: Path, other: Path) -> bool:
    """Lets two paths swap their names in one step; False where the system has no such step."""
    if not sys.platform.startswith("linux"):
        return False
    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError):  # a C library before 2018
        return False
    names = (os.fsencode(one), os.fsencode(other))
    if rename(_AT_WORKING_FOLDER, names[0], _AT_WORKING_FOLDER, names[1], _EXCHANGE) == 0:
        return True
    number = ctypes.get_errno()
    if number in (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP):  # nor has every file system
        return False
    raise OSError(number, os.strerror(number), str(other))


def _sync(made: Path) -> None:
    """Brings all of it to the disk: a name must not survive a power cut that its bytes do not."""
    files = [each for each in made.rglob("*") if each.is_file()] if made.is_dir() else [made]
    for file in files:
        with file.open("rb") as opened:
            os.fsync(opened.fileno())
    for folder in {file.parent for file in files}:
        sync_folder(folder)


def _clear_up(target: Path) -> None:
    """Puts back or removes what tries that were killed have left beside the target."""
    of_target = re.compile(re.escape(_stem(target)) + r"[0-9]+-[0-9a-f]{8}\.part")
    for left in target.parent.iterdir():
        if not (of_target.fullmatch(left.name) and left.is_dir()):
            continue
        if not _is_left(left / _LOCK):
            continue
        if os.path.lexists(left / _OLD) and not os.path.lexists(target):
            (left / _OLD).rename(target)
        shutil.rmtree(left, ignore_errors=True)


@contextlib.contextmanager
def _held(lock: Path) -> Iterator[None]:
    """A lock for as long as the block takes; the system lets go of it when the process ends."""
    with lock.open("wb") as file:
        _try_lock(file.fileno())
        yield


def _is_left(lock: Path) -> bool:
    """Nobody holds the lock any more; False, too, where that cannot be told."""
    try:
        with lock.open("rb") as file:
            return _try_lock(file.fileno())
    except OSError:
        return False


def _try_lock(descriptor: int) -> bool:
    try:
        import fcntl
    except ImportError:  # Windows: nothing is cleared up there
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
