"""The folder in which a corpus is made, beside the place that it will take."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from kataribe.base.errors import InputError, StorageError
from kataribe.make.text.corpus import FILES, check_name

_ENDING = ".making"
_OLD = ".replaced"
_LOCK = "lock"


@contextlib.contextmanager
def workplace(target: Path, *, replace_old: bool) -> Iterator[Path]:
    """A folder beside `target` that goes away with the block, whatever happens in it.

    What an earlier process left there when it was killed goes, too. `InputError` when `target`
    exists and may not be replaced; a full disk and the like become `StorageError`.
    """
    check_name(target.name)
    _refuse_existing(target, replace_old=replace_old)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _clear_left_over(target.parent)
        folder = target.parent / f".{target.name[:80]}.{secrets.token_hex(4)}{_ENDING}"
        folder.mkdir()
        try:
            with FileLock(folder / _LOCK):  # tells others that somebody works here
                yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    except OSError as error:
        raise _storage_error(target, error) from error


def publish(folder: Path, target: Path, *, replace_old: bool) -> None:
    """Gives the finished folder its name."""
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name not in (*FILES, _LOCK):
            path.unlink()
    old = target.with_name(f".{target.name[:80]}.{secrets.token_hex(4)}{_OLD}")
    try:
        if replace_old and target.exists():
            target.rename(old)
        _refuse_existing(target, replace_old=False)  # made by another process meanwhile
        folder.rename(target)
    except BaseException:
        if old.exists() and not target.exists():
            old.rename(target)
        raise
    (target / _LOCK).unlink(missing_ok=True)
    shutil.rmtree(old, ignore_errors=True)
    _sync(target.parent)


def _refuse_existing(target: Path, *, replace_old: bool) -> None:
    if target.exists() and not replace_old:
        raise InputError(
            f"There is a corpus {target.name} already ({target}). Choose another name, or "
            "replace it with --replace.",
            param="name",
            code="exists",
        )


def _clear_left_over(parent: Path) -> None:
    """Removes the workplaces of processes that are gone."""
    for folder in (*parent.glob(f".*{_ENDING}"), *parent.glob(f".*{_OLD}")):
        with contextlib.suppress(Timeout, OSError), FileLock(folder / _LOCK, timeout=0):
            shutil.rmtree(folder, ignore_errors=True)


def _sync(folder: Path) -> None:
    """Makes the rename survive a power cut, where the system can."""
    if os.name == "nt":  # folders cannot be opened there
        return
    descriptor = os.open(folder, os.O_RDONLY)
    with contextlib.suppress(OSError):
        os.fsync(descriptor)
    os.close(descriptor)


def _storage_error(target: Path, error: OSError) -> StorageError:
    full = error.errno in {errno.ENOSPC, errno.EDQUOT}
    way_out = (
        "Free some space, or move the workspace to a bigger disk (KATARIBE_HOME); a corpus needs "
        "twice its size while it is made."
        if full
        else "Check the path and who owns it."
    )
    return StorageError(f"{target} cannot be made: {error.strerror or error}. {way_out}")
