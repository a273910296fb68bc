"""Writes that happen wholly or not at all.

A file is written beside its target, flushed to the disk, and only then takes the target's name
(POSIX `rename`), so a full disk, a crash or Ctrl-C leaves the target as it was.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from kataribe.base.errors import StorageError


@contextlib.contextmanager
def atomic_file(path: Path) -> Iterator[BinaryIO]:
    """A binary file that becomes `path` when the block ends well, and vanishes when it does not.

    The folder must exist. An existing target keeps its permissions. Any `OSError` of the block
    (a full disk, a folder that may not be written) becomes `StorageError`; the target is then
    untouched.
    """
    # A name has 255 bytes at most, and a letter up to 4.
    beside = path.with_name(f".{path.name[:50]}.{os.getpid()}-{secrets.token_hex(4)}.part")
    try:
        descriptor = os.open(beside, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        try:
            file = os.fdopen(descriptor, "w+b")
            try:
                yield file
                file.flush()
                os.fsync(file.fileno())
            finally:
                _close(file)
            _keep_permissions(path, beside)
            beside.replace(path)
        finally:
            beside.unlink(missing_ok=True)  # where it has not become the target
        sync_folder(path.parent)
    except OSError as error:
        raise storage_error(f"{path} cannot be written", error) from error


def write_atomic(path: Path, data: bytes | str) -> None:
    """Replaces `path` by `data` (a string as UTF-8); `StorageError` leaves the target untouched."""
    with atomic_file(path) as file:
        file.write(data.encode("utf-8") if isinstance(data, str) else data)


def sync_folder(folder: Path) -> None:
    """Makes a rename in `folder` survive a power cut, where the system can."""
    if os.name == "nt":  # folders cannot be opened there
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError:  # some network file systems refuse; the rename itself has happened
        return
    finally:
        os.close(descriptor)


def storage_error(what: str, error: OSError) -> StorageError:
    """A `StorageError` that says what failed, why, and what to do about it."""
    reason = error.strerror or str(error)
    return StorageError(f"{what}: {reason}. {_way_out(error)}")


def _way_out(error: OSError) -> str:
    import errno

    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return "Free some space, or move the workspace to a bigger disk (KATARIBE_HOME)."
    if error.errno == errno.EFBIG:
        return "The limit for the size of one file is too low; raise it (ulimit -f)."
    if error.errno in {errno.EACCES, errno.EPERM, errno.EROFS}:
        return "Check who owns it, or choose another place (KATARIBE_HOME)."
    if error.errno == errno.ENOENT:
        return "Create its folder first, or check the path."
    return "Check the path and the disk."


def _close(file: BinaryIO) -> None:
    """Closes without hiding the first error: closing a file with unwritten data fails again."""
    try:
        file.close()
    except OSError:
        with contextlib.suppress(OSError):
            file.close()
        raise


def _keep_permissions(path: Path, beside: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        beside.chmod(path.stat().st_mode & 0o7777)
