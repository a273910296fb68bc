"""Which server runs for this workspace: it leaves a note, and answers to it."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from kataribe.base.errors import StorageError
from kataribe.base.workspace import Workspace

_PATIENCE = 2.0
"""Seconds that a server may take to say that it is there."""


@dataclass(frozen=True, slots=True)
class RunningServer:
    """A server whose process lives.

    Attributes:
        url: Its address, without a slash at the end.
        pid: Its process.
        starting: It has its port and answers there later: it still fetches its model or opens.
    """

    url: str
    pid: int
    starting: bool


def find_noted(workspace: Workspace) -> RunningServer | None:
    """This workspace's server: its note is there and its process lives, though it may be silent."""
    try:
        note = json.loads(workspace.running.read_text(encoding="utf-8"))
        found = RunningServer(str(note["url"]), int(note["pid"]), bool(note.get("starting", False)))
        began = float(note["began"])
    except (OSError, ValueError, KeyError, TypeError):
        return None  # no note, or one that broke while it was written
    # Else it died, and perhaps another process has its number now.
    return found if _began(found.pid) == began else None


def find_running(workspace: Workspace) -> RunningServer | None:
    """This workspace's server when it answers now: its process lives, and a Kataribe is there."""
    found = find_noted(workspace)
    if found is None or found.starting or ask_health(found.url) is None:
        return None
    return found


def ask_health(url: str) -> dict[str, Any] | None:
    """What a Kataribe at this address says of its health; None when none answers there."""
    try:
        split = urlsplit(url)
        connection = http.client.HTTPConnection(split.hostname or "", split.port, timeout=_PATIENCE)
    except ValueError:
        return None
    try:
        connection.request("GET", "/health")
        health = json.loads(connection.getresponse().read(65536))
    except (OSError, http.client.HTTPException, ValueError):
        return None
    finally:
        connection.close()
    ours = isinstance(health, dict) and {"status", "version"} <= health.keys()
    return health if ours else None


@contextlib.contextmanager
def leave_note(workspace: Workspace, url: str, *, starting: bool = False) -> Iterator[None]:
    """Says in the workspace where this process listens, until it no longer does.

    A second note, inside the block of a first one that said `starting`, takes its place.
    """
    from kataribe.files.atomic import write_atomic

    pid = os.getpid()
    note = {"url": url, "pid": pid, "began": _began(pid), "starting": starting}
    try:
        workspace.root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(
            f"The workspace {workspace.root} cannot be made: {error.strerror}. "
            "Choose another with KATARIBE_HOME."
        ) from None
    write_atomic(workspace.running, json.dumps(note) + "\n")
    try:
        yield
    finally:
        _remove_own(workspace)


def _remove_own(workspace: Workspace) -> None:
    """Removes the note, unless another server has written its own since."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        note = json.loads(workspace.running.read_text(encoding="utf-8"))
        if note["pid"] == os.getpid():
            workspace.running.unlink()


def _began(pid: int) -> float | None:
    """When a process began; None when there is none of that number."""
    import psutil

    try:
        return float(psutil.Process(pid).create_time())
    except (psutil.Error, ValueError):
        return None
