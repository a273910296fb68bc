"""The MCP servers of one `mcp.json`: what they are, how they are, their tools and calls.

Nothing starts before it is asked for. One server that is wrong, dead or slow costs only its own
tools: the others go on. The file may be changed at any time; the next call goes by it.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from kataribe.base.errors import KataribeError, ProviderError, SettingsError, UnavailableError
from kataribe.use.agents.mcp.entries import Kind, Listed, read_servers, unknown_server
from kataribe.use.agents.mcp.limits import ServerLimits
from kataribe.use.agents.mcp.tool import RemoteTool, remote_tools
from kataribe.use.agents.mcp.variables import Target, resolved

if TYPE_CHECKING:
    from mcp.shared.dispatcher import ProgressFnT
    from mcp_types import CallToolResult

    from kataribe.use.agents.mcp.link import Link

log = logging.getLogger("kataribe.mcp")

State: TypeAlias = Literal["wrong", "off", "closed", "open", "failed"]


@dataclass(frozen=True, slots=True)
class ServerState:
    """How a server is.

    Attributes:
        name: What it is called in the file.
        kind: How it is spoken to; None where its entry is wrong.
        place: Its program or address, without arguments.
        state: `wrong` (its entry), `off` (disabled), `closed`, `open`, or `failed` (the last try).
        tools: The names that its tools have here, as it listed them last.
        error: What went wrong last; empty where nothing has.
        note: What of its entry is passed over, since other hosts wrote it for themselves.
    """

    name: str
    kind: Kind | None
    place: str
    state: State
    tools: tuple[str, ...] = ()
    error: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class _Failed:
    target: Target | None
    at: float
    message: str
    start: bool


class Servers:
    """See above. Sessions belong to the event loop that opens them; one that ended is forgotten."""

    def __init__(
        self,
        path: Path,
        environment: Mapping[str, str] | None = None,
        limits: ServerLimits | None = None,
    ) -> None:
        """Reads nothing yet.

        Args:
            path: The file.
            environment: Where `${NAME}` is looked up; the process's own by default.
            limits: What each server may take.
        """
        self.path = path
        self._environment = os.environ if environment is None else environment
        self._limits = limits or ServerLimits()
        self._links: dict[str, Link] = {}
        self._held: dict[str, int] = {}
        self._tools: dict[str, tuple[RemoteTool, ...]] = {}
        self._failed: dict[str, _Failed] = {}

    def names(self) -> tuple[str, ...]:
        """Every server of the file, also those that cannot be used; raises `FormatError`."""
        return tuple(read_servers(self.path))

    def find(self, name: str) -> Listed:
        """The server of that name; `NotFoundError` suggests near ones."""
        known = read_servers(self.path)
        if name not in known:
            raise unknown_server(name, known, str(self.path))
        return known[name]

    def states(self) -> tuple[ServerState, ...]:
        """How every server of the file is, in its order. Starts nothing; raises `FormatError`."""
        return tuple(self._state(listed) for listed in read_servers(self.path).values())

    async def tools(self, name: str) -> tuple[RemoteTool, ...]:
        """The tools of a server, which is opened where it is not.

        Raises `NotFoundError`, `SettingsError` for a wrong entry, `UnavailableError` for one that
        is switched off, and `ProviderError` for a server that cannot be used.
        """
        link = await self._open(name)
        known = self._tools.get(name, ())
        if [tool.listed for tool in known] != list(link.listed):
            self._tools[name] = remote_tools(name, link.listed, self.call)
        return self._tools[name]

    def known(self, name: str) -> tuple[RemoteTool, ...]:
        """The tools of a server as it listed them last; starts nothing."""
        return self._tools.get(name, ())

    async def check(self, name: str) -> tuple[RemoteTool, ...]:
        """The tools that a server lists now; raises as `tools` does.

        One that did not start is tried again however short ago that was, and the session of one
        that is open but does not answer is ended.
        """
        self._failed.pop(name, None)
        link = await self._open(name)
        try:
            await link.refresh()
        except ProviderError as error:
            self._note(name, link.target, error, start=False)
            raise
        return await self.tools(name)

    def drop(self, name: str) -> None:
        """Ends a server's session as soon as no call runs in it, and forgets what it said."""
        link = self._links.pop(name, None)
        if link is not None:
            link.leave()
        self._tools.pop(name, None)
        self._failed.pop(name, None)

    async def call(
        self,
        name: str,
        tool: str,
        arguments: Mapping[str, Any],
        progress: ProgressFnT | None = None,
    ) -> CallToolResult:
        """What a server's tool (by its own name) answers; raises as `tools` does."""
        link = await self._open(name)
        try:
            return await link.call(tool, arguments, progress)
        except ProviderError as error:
            self._note(name, link.target, error, start=False)
            raise

    @contextmanager
    def held(self, names: Iterable[str]) -> Iterator[None]:
        """Keeps the sessions of these servers while the block lasts, used or not."""
        kept = tuple(dict.fromkeys(names))
        for name in kept:
            self._held[name] = self._held.get(name, 0) + 1
        try:
            yield
        finally:
            for name in kept:
                self._held[name] -= 1
                if name in self._links:
                    self._links[name].last_used = time.monotonic()

    async def close(self) -> None:
        """Ends every session, each after the calls that run in it."""
        links = list(self._links.values())
        self._links.clear()
        await asyncio.gather(*(link.close() for link in links))

    async def _open(self, name: str) -> Link:
        target = self._target(name)
        failed = self._failed.get(name)
        if failed is not None and failed.start and failed.target == target:
            ago = time.monotonic() - failed.at
            if ago < self._limits.again:
                raise ProviderError(
                    f"{failed.message} (That was {ago:.0f} s ago; it is tried again after "
                    f"{self._limits.again:g} s.)",
                    param="server",
                )
        link = await self._link(name, target)
        try:
            await link.open()
        except ProviderError as error:
            self._note(name, target, error, start=True)
            raise
        if failed is not None and failed.start:
            self._failed.pop(name, None)
        return link

    async def _link(self, name: str, target: Target) -> Link:
        link_of = await asyncio.to_thread(_link_class)
        link = self._links.get(name)
        if link is not None and link.target == target and link.is_usable:
            return link
        if link is not None:
            link.leave()
        made = link_of(target, self._limits, lambda: self._held.get(name, 0) > 0)
        self._links[name] = made
        return made

    def _target(self, name: str) -> Target:
        listed = self.find(name)
        if listed.entry is None:
            raise SettingsError(listed.problem, param="server")
        if listed.entry.disabled:
            raise UnavailableError(
                f"The MCP server {name!r} is disabled. Take `disabled` out of its entry in "
                f"{self.path}.",
                param="server",
            )
        return resolved(name, listed.entry, self._environment, self.path.parent)

    def _note(self, name: str, target: Target, error: KataribeError, *, start: bool) -> None:
        log.info("%s", error.message)
        self._failed[name] = _Failed(target, time.monotonic(), error.message, start)

    def _state(self, listed: Listed) -> ServerState:
        name, entry = listed.name, listed.entry
        if entry is None:
            return ServerState(name, None, "", "wrong", error=listed.problem)
        link, failed = self._links.get(name), self._failed.get(name)
        is_open = link is not None and link.is_open
        state: State = "off" if entry.disabled else "open" if is_open else "closed"
        if state == "closed" and failed is not None:
            state = "failed"
        tools = tuple(tool.spec.name for tool in self._tools.get(name, ()))
        error = failed.message if failed is not None else ""
        return ServerState(name, entry.kind, entry.place, state, tools, error, listed.note)


def _link_class() -> Callable[[Target, ServerLimits, Callable[[], bool]], Link]:
    """The session; the SDK takes half a second to import, and only who uses it waits for it."""
    from kataribe.use.agents.mcp.link import Link

    # It writes down what servers say, with secrets in it. Our errors say it without.
    for name in ("mcp.client", "client"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    return Link
