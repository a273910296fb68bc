"""The lock of the one process that answers and works for a workspace."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

import filelock

from kataribe.base.errors import StorageError, UnavailableError
from kataribe.base.workspace import Workspace

_ANSWERS = (
    "Another process{who} answers for the workspace {root} already. Use that one, stop it first, "
    "or choose another workspace with KATARIBE_HOME."
)


@contextlib.contextmanager
def holding(workspace: Workspace, refused: str = _ANSWERS) -> Iterator[None]:
    """Makes this process the one that answers for the workspace, while the block runs.

    Replies run and jobs are worked on in one process only; others may read and write the database
    beside it. The system frees the lock when the process ends, however it does. Raises
    `UnavailableError`, with the other's number and address, while another process holds it; what
    it says is `refused`.
    """
    lock = filelock.FileLock(workspace.serving)
    who = workspace.serving.with_name(f"{workspace.serving.name}.json")
    try:
        workspace.root.mkdir(parents=True, exist_ok=True)
        lock.acquire(blocking=False)
    except filelock.Timeout:
        raise UnavailableError(
            refused.format(who=_holder(workspace, who), root=workspace.root)
        ) from None
    except OSError as error:
        raise StorageError(
            f"The lock {workspace.serving} cannot be taken: {error.strerror or error}. Mend the "
            "rights of its folder, or choose another workspace with KATARIBE_HOME."
        ) from error
    try:
        with contextlib.suppress(OSError):  # only to be named by others; the lock is what counts
            who.write_text(json.dumps({"pid": os.getpid()}), encoding="utf-8")
        yield
    finally:
        who.unlink(missing_ok=True)
        lock.release()


def _holder(workspace: Workspace, who: Path) -> str:
    """What is known of the process that holds the lock, as part of a sentence."""
    pid, address = _value(who, "pid"), _value(workspace.running, "url")
    if _value(workspace.running, "pid") != pid:
        address = ""  # the note of an earlier one that was killed
    known = [f"number {pid}"] if pid else []
    known += [f"at {address}"] if address else []
    return f" ({', '.join(known)})" if known else ""


def _value(path: Path, name: str) -> str:
    try:
        told = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return ""
    return str(told.get(name, "")) if isinstance(told, dict) else ""
