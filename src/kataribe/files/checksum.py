"""Checksums of files: sha256, in steps that show progress and can be interrupted."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from pathlib import Path

from kataribe.base.errors import ChecksumError, InputError, NotFoundError
from kataribe.files.atomic import storage_error

_STEP = 1 << 20
_SHA256 = re.compile(r"[0-9a-f]{64}")


def sha256_file(path: Path, progress: Callable[[int, int], None] | None = None) -> str:
    """The sha256 of a file as 64 lower-case hexadecimal digits.

    `progress` is told bytes read and bytes in all. Raises `NotFoundError` or `StorageError`.
    """
    digest = hashlib.sha256()
    done = 0
    try:
        with path.open("rb", buffering=0) as file:
            total = path.stat().st_size
            while block := file.read(_STEP):
                digest.update(block)
                done += len(block)
                if progress is not None:
                    progress(done, total)
    except FileNotFoundError:
        raise NotFoundError(f"{path} does not exist.") from None
    except OSError as error:
        raise storage_error(f"{path} cannot be read", error) from error
    return digest.hexdigest()


def verify_sha256(
    path: Path, expected: str, progress: Callable[[int, int], None] | None = None
) -> None:
    """Raises `ChecksumError` unless the file's sha256 is `expected` (64 hexadecimal digits)."""
    wanted = expected.lower()
    if not _SHA256.fullmatch(wanted):
        raise InputError(f"{expected!r} is not a sha256: it needs 64 hexadecimal digits.")
    actual = sha256_file(path, progress)
    if actual != wanted:
        raise ChecksumError(path.name, expected=wanted, actual=actual)
