"""Which addresses of the internet a tool may reach: public ones only, checked before it connects.

A name is resolved once, every address that it has must be public, and the connection goes to the
address that was checked. So neither a redirect nor a name server that answers differently the
second time ("DNS rebinding") leads to this machine or its neighbours.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

from kataribe.base.errors import InputError, ProviderError

Resolve: TypeAlias = Callable[[str, int], Awaitable[Sequence[str]]]
"""The addresses of a host (for a port), as text."""

_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_COMPATIBLE = ipaddress.ip_network("::/96")


async def resolve_host(host: str, port: int) -> tuple[str, ...]:
    """What the system's resolver says; `ProviderError` for a name that it does not know."""
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise ProviderError(f"The host {host!r} is not known: {error.strerror}.") from error
    return tuple(dict.fromkeys(str(entry[4][0]) for entry in found))


def is_public(address: str) -> bool:
    """Whether an address belongs to the public internet, also inside wrappings of IPv6."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(found, ipaddress.IPv6Address):
        inner = _inside(found)
        if inner is not None:
            return is_public(str(inner))
        if found.is_site_local:
            return False
    return found.is_global and not (
        found.is_multicast
        or found.is_reserved
        or found.is_loopback
        or found.is_link_local
        or found.is_unspecified
    )


def _inside(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address that an IPv6 address stands for (mapped, 6to4, Teredo, NAT64)."""
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address.teredo is not None:
        return address.teredo[1]
    if address in _NAT64 or (address in _COMPATIBLE and int(address) > 1):
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return None


async def checked_address(
    host: str, port: int, resolve: Resolve, private_hosts: frozenset[str]
) -> str:
    """One address of the host that may be connected to.

    Raises `InputError` when any of its addresses is not public, unless the host is one of
    `private_hosts`, which whoever set the tool up allows by name.
    """
    found = await resolve(host, port)
    if not found:
        raise ProviderError(f"The host {host!r} has no address.")
    inner = [address for address in found if not is_public(address)]
    if inner and host not in private_hosts:
        raise InputError(
            f"{host!r} leads to {inner[0]}, which is no address of the public internet. Only "
            "public pages can be fetched.",
            param="url",
        )
    return found[0]
