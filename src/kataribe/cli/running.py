"""Which server runs for this workspace: it leaves a note, and answers to it."""

from __future__ import annotations

import contextlib
import errno
import http.client
import json
import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from kataribe.base.errors import StorageError
from kataribe.base.workspace import Workspace

_PATIENCE = 2.0
"""Seconds that a server may take to say that it is there."""


@dataclass(frozen=True, slots=True)
class RunningServer:
    """A server that answered just now. `host` is where it can be reached from this machine."""

    host: str
    port: int
    pid: int

    @property
    def url(self) -> str:
        """Its address, without a slash at the end."""
        return address(self.host, self.port)


def address(host: str, port: int) -> str:
    """The address of a server; one that listens everywhere is reached at loopback."""
    host = reachable(host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def reachable(host: str) -> str:
    """Where this machine reaches a server that listens on `host`."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104


def find_running(workspace: Workspace) -> RunningServer | None:
    """This workspace's server: its note is there, its process lives, and a Kataribe answers."""
    try:
        note = json.loads(workspace.running.read_text(encoding="utf-8"))
        found = RunningServer(str(note["host"]), int(note["port"]), int(note["pid"]))
        began = float(note["began"])
    except (OSError, ValueError, KeyError, TypeError):
        return None  # no note, or one that broke while it was written
    if _began(found.pid) != began:  # it died, and perhaps another process has its number now
        return None
    return found if ask_health(found.host, found.port) is not None else None


def _began(pid: int) -> float | None:
    """When a process began; None when there is none of that number."""
    import psutil

    try:
        return psutil.Process(pid).create_time()
    except (psutil.Error, ValueError):
        return None


def ask_health(host: str, port: int) -> dict[str, Any] | None:
    """What a Kataribe at this address says of its health; None when none answers there."""
    connection = http.client.HTTPConnection(reachable(host), port, timeout=_PATIENCE)
    try:
        connection.request("GET", "/health", headers={"Host": f"localhost:{port}"})
        health = json.loads(connection.getresponse().read(65536))
    except (OSError, http.client.HTTPException, ValueError):
        return None
    finally:
        connection.close()
    ours = isinstance(health, dict) and {"status", "version"} <= health.keys()
    return health if ours else None


@contextlib.contextmanager
def leave_note(workspace: Workspace, host: str, port: int) -> Iterator[None]:
    """Says in the workspace where this process listens, until it no longer does."""
    from kataribe.files.atomic import write_atomic

    note = {"host": host, "port": port, "pid": os.getpid(), "began": _began(os.getpid())}
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


def port_problem(host: str, port: int) -> str | None:
    """Why a server could not listen there, and which program does when that can be known."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        if os.name == "posix":  # as servers do: a port that was just left is free
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return f"port {port} on {host} is taken by {_holder(host, port)}"
            return f"{host}:{port} cannot be used: {error.strerror or error}"
    return None


def _holder(host: str, port: int) -> str:
    """Who listens on a port, as far as this user may see."""
    health = ask_health(host, port)
    program = _listening_program(port)
    if health is not None:
        return f"a Kataribe of another workspace{f' ({program})' if program else ''}"
    return program or "another program"


def _listening_program(port: int) -> str | None:
    import psutil

    with contextlib.suppress(psutil.Error, OSError):  # other people's processes are hidden
        for connection in psutil.net_connections(kind="tcp"):
            listens = connection.status == psutil.CONN_LISTEN
            if listens and connection.laddr.port == port and connection.pid is not None:
                return f"{psutil.Process(connection.pid).name()}, process {connection.pid}"
    return None
