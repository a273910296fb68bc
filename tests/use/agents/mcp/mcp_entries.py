"""Entries of servers for the tests."""

from __future__ import annotations

import socket
import sys
from pathlib import Path
from typing import Any

import psutil

from kataribe.use.agents.mcp.limits import ServerLimits

HERE = Path(__file__).parent
QUICK = ServerLimits(start=20.0, call=20.0, again=0.01, close=0.5)


def sdk(**more: Any) -> dict[str, Any]:
    """The entry of a server that the official SDK makes."""
    return {"command": sys.executable, "args": [str(HERE / "server_for_tests.py")], **more}


def raw(how: str, **more: Any) -> dict[str, Any]:
    """The entry of a server that misbehaves."""
    script = str(HERE / "raw_server_for_tests.py")
    return {"command": sys.executable, "args": [script, how], **more}


def sdk_servers() -> list[psutil.Process]:
    """Those of the official SDK that this process has begun and that run."""
    found = []
    for process in psutil.Process().children(recursive=True):
        try:
            words = process.cmdline()
        except psutil.NoSuchProcess:
            continue  # it ended between the two looks
        if str(HERE / "server_for_tests.py") in words:
            found.append(process)
    return found


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
