"""What tools of MCP servers are called here: `server__tool`, so that two never have one name.

Hosts of models allow 64 letters, digits, `_` and `-`; names of servers and tools may have other
characters and be longer. Where a name must be changed, eight digits of a hash of the whole follow.
The same tool always has the same name, whatever else there is.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable

LONGEST = 64
BETWEEN = "__"
PREFIX = "mcp:"
"""What a recipe writes before a server: `mcp:SERVER`, `mcp:SERVER/TOOL`."""
_OTHER = re.compile(r"[^a-zA-Z0-9_-]")
_DIGITS = 8


def exposed_name(server: str, tool: str) -> str:
    """The name by which models call a server's tool."""
    plain = f"{server}{BETWEEN}{tool}"
    cleaned = _OTHER.sub("_", plain)
    # Read from the left, the first two underscores end the server's name. Where they would not,
    # `a__b` with `c` and `a` with `b__c` would be one name.
    reads_back = BETWEEN not in server and not server.endswith("_")
    if cleaned == plain and len(plain) <= LONGEST and reads_back:
        return plain
    # With their lengths, since any character may stand in a name.
    whole = f"{len(server)}:{server}{tool}".encode("utf-8", "replace")
    return f"{cleaned[: LONGEST - _DIGITS - 1]}_{hashlib.sha256(whole).hexdigest()[:_DIGITS]}"


def split_reference(reference: str, servers: Iterable[str]) -> tuple[str, str | None]:
    """Server and tool (None for all of them) of what a recipe says after `mcp:`.

    A server's name may hold a slash, so the longest that is known counts; where none is, what
    stands before the first slash is the server.
    """
    known = [name for name in servers if reference == name or reference.startswith(f"{name}/")]
    if not known:
        server, slash, tool = reference.partition("/")
        return server, tool if slash else None
    server = max(known, key=len)
    return server, reference[len(server) + 1 :] if len(reference) > len(server) else None
