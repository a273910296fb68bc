"""MCP servers as real processes, and files that name them."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from mcp_entries import HERE, QUICK, free_port

from kataribe.use.agents.mcp.limits import ServerLimits
from kataribe.use.agents.mcp.servers import Servers


@pytest.fixture
def servers_of(tmp_path: Path) -> Callable[..., Servers]:
    """Writes a file of servers."""

    def make(limits: ServerLimits = QUICK, **entries: Any) -> Servers:
        path = tmp_path / "mcp.json"
        path.write_text(json.dumps({"mcpServers": entries}), encoding="utf-8")
        return Servers(path, limits=limits)

    return make


@pytest.fixture(autouse=True)
def begun() -> Iterator[Callable[[], list[psutil.Process]]]:
    """The processes that this test began and that run; every one of them has ended after it."""
    before = set(psutil.Process().children(recursive=True))  # what other tests of this worker keep

    def running() -> list[psutil.Process]:
        return [one for one in psutil.Process().children(recursive=True) if one not in before]

    yield running
    _, alive = psutil.wait_procs(running(), timeout=3)
    for process in alive:
        process.kill()
    assert not alive


@pytest.fixture
def over_http() -> Iterator[Callable[..., tuple[str, subprocess.Popen[bytes]]]]:
    """Starts the SDK's server on a port (a free one, unless one is given)."""
    begun: list[subprocess.Popen[bytes]] = []

    def start(how: str = "--http", port: int = 0) -> tuple[str, subprocess.Popen[bytes]]:
        port = port or free_port()
        command = [sys.executable, str(HERE / "server_for_tests.py"), how, str(port)]
        begun.append(subprocess.Popen(command, stderr=subprocess.DEVNULL))
        until = time.monotonic() + 30
        while time.monotonic() < until:
            with socket.socket() as trying:
                if trying.connect_ex(("127.0.0.1", port)) == 0:
                    place = "/mcp" if how == "--http" else "/sse"
                    return f"http://127.0.0.1:{port}{place}", begun[-1]
            time.sleep(0.05)
        raise AssertionError("The server did not start.")

    yield start
    for process in begun:
        process.kill()
        process.wait()
