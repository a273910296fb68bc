"""Sockets: taking a port, and saying who has it when somebody else does."""

from __future__ import annotations

import errno
import os
import socket

import psutil

from kataribe.base.errors import PortInUseError, SettingsError

BACKLOG = 512


def listen(host: str, port: int) -> socket.socket:
    """A socket that already listens, so that nobody else can take the port; 0 takes a free one.

    Raises `PortInUseError`, which names who has the port, and `SettingsError` for an address
    that this machine does not have.
    """
    try:
        family, kind, proto, _, address = socket.getaddrinfo(
            host.strip("[]"), port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except socket.gaierror as error:
        raise SettingsError(
            f"The address {host!r} to listen on is unknown: {error.strerror}. "
            "Choose another with --host, such as 127.0.0.1.",
            param="host",
        ) from None
    taken = socket.socket(family, kind, proto)
    try:
        if os.name == "posix":
            # A port whose last connections are just closing may be taken again.
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(address)
        taken.listen(BACKLOG)
    except OSError as error:
        taken.close()
        raise _told(error, host, port) from None
    taken.settimeout(0)  # asyncio wants it so
    return taken


def address_of(listening: socket.socket) -> str:
    """Where a browser finds it, such as `http://127.0.0.1:8720`."""
    host, port = listening.getsockname()[:2]
    if host in ("0.0.0.0", "::"):  # noqa: S104  compared, not bound
        host = "127.0.0.1" if host == "0.0.0.0" else "::1"  # noqa: S104
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def holder_of(port: int) -> str | None:
    """Who listens on `port`, such as `python3 (process 4711)`; None when that is not visible."""
    try:
        connections = psutil.net_connections(kind="tcp")
    except (psutil.Error, OSError):
        return None  # some systems show sockets to the administrator only
    for connection in connections:
        local = connection.laddr
        if connection.status == psutil.CONN_LISTEN and local and local.port == port:
            return _named(connection.pid)
    return None


def _named(pid: int | None) -> str | None:
    if pid is None:
        return None
    try:
        name = psutil.Process(pid).name()  # the whole command line could hold a key
    except psutil.Error:
        return f"process {pid}"
    return f"{name} (process {pid})"


def _told(error: OSError, host: str, port: int) -> PortInUseError | SettingsError:
    if error.errno == errno.EADDRINUSE:
        holder = holder_of(port) or "another program"
        other = port + 1 if port < 65535 else port - 1
        return PortInUseError(
            f"Port {port} on {host} is taken by {holder}. Stop it, or choose another port: "
            f"--port {other}, or --port 0 for any free one.",
            param="port",
        )
    if error.errno == errno.EACCES:
        return SettingsError(
            f"Port {port} needs the administrator's rights. Choose one above 1023 with --port.",
            param="port",
        )
    return SettingsError(
        f"Cannot listen on {host}, port {port}: {os.strerror(error.errno or 0)}. "
        "Choose an address of this machine with --host.",
        param="host",
    )
