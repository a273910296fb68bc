"""Connections to hosts: one for each request, or kept open between requests."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import ipaddress
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    import httpx


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a host is waited for; seconds.

    Attributes:
        tries: How often a request is sent, when it fails before any word of a reply.
        first_wait: Longest pause before the second try; it doubles with each further one.
        longest_wait: No pause is longer; a host that wants a longer one is told of as busy.
        connect: To reach the host.
        idle: Between two pieces of an answer, and for the first one; None for ever.
    """

    tries: int = 4
    first_wait: float = 0.5
    longest_wait: float = 60.0
    connect: float = 10.0
    idle: float | None = 600.0


class Connections:
    """Connections that stay open between requests, for a process that asks often.

    They belong to the event loop that used them first; from another loop, each request has a
    connection of its own. Close it in its loop.
    """

    def __init__(self, most_idle: int = 20) -> None:
        """`most_idle` is how many may wait unused, for each host."""
        self._most_idle = most_idle
        self._loop: asyncio.AbstractEventLoop | None = None
        self._clients: dict[tuple[str, Patience], httpx.AsyncClient] = {}

    @contextlib.asynccontextmanager
    async def client(self, address: str, patience: Patience) -> AsyncIterator[httpx.AsyncClient]:
        """A client for a host, which stays open after the block."""
        loop = asyncio.get_running_loop()
        if self._loop is None:
            self._loop = loop
        if self._loop is not loop:
            async with one_client(address, patience) as client:
                yield client
            return
        parts = urlsplit(address)
        key = (f"{parts.scheme}://{parts.netloc}", patience)
        if key not in self._clients:
            self._clients[key] = _open(address, patience, most_idle=self._most_idle)
        yield self._clients[key]

    async def close(self) -> None:
        """Closes what is open; a later request opens anew."""
        clients, self._clients, self._loop = self._clients, {}, None
        for client in clients.values():
            await client.aclose()


@contextlib.asynccontextmanager
async def one_client(address: str, patience: Patience) -> AsyncIterator[httpx.AsyncClient]:
    """A client whose connections close with the block."""
    async with _open(address, patience, most_idle=0) as client:
        yield client


def _open(address: str, patience: Patience, *, most_idle: int) -> httpx.AsyncClient:
    import httpx

    here = is_loopback(address)
    # With httpx's own transport: aiohttp, whose parser is faster, throws away what has arrived and
    # was not read yet when a stream breaks, and what was said until then must not be lost.
    return httpx.AsyncClient(
        timeout=httpx.Timeout(patience.idle, connect=patience.connect, pool=None),
        limits=httpx.Limits(max_connections=None, max_keepalive_connections=most_idle),
        # A plain address needs no certificates; loading them takes longer than a local answer.
        verify=_trusted() if address.startswith("https:") else False,
        # Proxies of the environment are for other machines.
        trust_env=not here,
        follow_redirects=False,
    )


def is_loopback(address: str) -> bool:
    """Whether an address is on this machine."""
    host = urlsplit(address).hostname or ""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@functools.cache
def _trusted() -> ssl.SSLContext:
    import httpx

    return httpx.create_ssl_context()
