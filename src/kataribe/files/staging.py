"""A file or folder made beside its target; it takes the name only when it is whole and checked."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

from kataribe.base.errors import InputError
from kataribe.files.atomic import storage_error, sync_folder


@contextlib.contextmanager
def staged(target: Path, *, replace: bool = False) -> Iterator[Path]:
    """A path to write to; it becomes `target` when the block ends well, and vanishes when not.

    Args:
        target: A file or a folder; the folder that holds it is made if it is not there.
        replace: Whether an existing target may be replaced. It stays as it is until then.

    Raises:
        InputError: The target exists and may not be replaced.
        StorageError: The disk.
    """
    _refuse_existing(target, replace=replace)
    beside = target.parent / f".{target.name[:100]}.{os.getpid()}-{secrets.token_hex(4)}.part"
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        beside.mkdir()
    except OSError as error:
        raise storage_error(f"{target} cannot be written", error) from error
    try:
        yield beside / target.name
        _refuse_existing(target, replace=replace)
        _take_name(beside, target)
    except OSError as error:
        raise storage_error(f"{target} cannot be written", error) from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _refuse_existing(target: Path, *, replace: bool) -> None:
    if os.path.lexists(target) and not replace:
        raise InputError(f"{target} exists already. Choose another name, or add --replace.")


def _take_name(beside: Path, target: Path) -> None:
    made, old = beside / target.name, beside / "old"
    moved = target.is_dir() or made.is_dir()
    if moved and os.path.lexists(target):  # a folder cannot be replaced in one step
        target.rename(old)
    try:
        made.replace(target)
    except OSError:
        if os.path.lexists(old):
            old.rename(target)
        raise
    sync_folder(target.parent)
