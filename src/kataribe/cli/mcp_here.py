"""The MCP servers of a workspace, as the server shows, tries, adds and removes them."""

from __future__ import annotations

import asyncio
import contextlib
import re
import shlex
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from kataribe.base.errors import (
    FormatError,
    InputError,
    KataribeError,
    NotFoundError,
    ProviderError,
    SettingsError,
)
from kataribe.serve.shapes.mcp import McpAnswer, McpServerDetail, McpServerShown, McpToolShown
from kataribe.use.agents.mcp.entries import (
    Removed,
    add_server,
    entry_of,
    remove_server,
    restore_server,
    unknown_tool,
)

if TYPE_CHECKING:
    from kataribe.serve.shapes.mcp import NewMcpServer
    from kataribe.use.agents.mcp.servers import Servers, ServerState
    from kataribe.use.agents.mcp.tool import RemoteTool

LONGEST_ANSWER = 100_000
"""Characters of a tool's answer that a page is sent."""
MOST_REMOVED = 20
"""Servers that can be put back; of more the oldest is forgotten."""

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class McpHere:
    """A `McpSource` over the sessions that assistants use, too."""

    def __init__(self, servers: Servers) -> None:
        """Reads and starts nothing yet."""
        self._servers = servers
        # Never in a file of its own: an entry may hold what is secret.
        self._removed: dict[str, Removed] = {}
        # The file is read, changed and written whole.
        self._writing = asyncio.Lock()

    async def all(self) -> Sequence[McpServerShown]:
        """See `McpSource`."""
        with _as_asked():
            return await asyncio.to_thread(self._all)

    async def one(self, name: str) -> McpServerDetail:
        """See `McpSource`."""
        with _as_asked():
            shown = await asyncio.to_thread(self._one, name)
        return McpServerDetail(server=shown, tools=_tools(self._servers.known(name)))

    async def check(self, name: str) -> McpServerDetail:
        """See `McpSource`."""
        try:
            await self._servers.check(name)
        except NotFoundError:
            raise
        except KataribeError as error:
            # A variable that is not set is no failure of the server, so its state does not say it.
            found = await self.one(name)
            said = found.server.error or error.message
            state = "failed" if found.server.state == "closed" else found.server.state
            server = found.server.model_copy(update={"error": said, "state": state})
            return found.model_copy(update={"server": server})
        return await self.one(name)

    async def call(self, name: str, tool: str, arguments: Mapping[str, Any]) -> McpAnswer:
        """See `McpSource`."""
        began = time.monotonic()
        try:
            with _as_asked():
                tools = await self._servers.tools(name)
            chosen = _named(tools, name, tool)
            words, failed = await chosen.call(arguments), False
        except (ProviderError, SettingsError) as error:
            words, failed = error.message, True
        return McpAnswer(
            text=words[:LONGEST_ANSWER],
            left_out=max(0, len(words) - LONGEST_ANSWER),
            failed=failed,
            seconds=round(time.monotonic() - began, 3),
        )

    async def add(self, wanted: NewMcpServer) -> McpServerDetail:
        """See `McpSource`."""
        path = self._servers.path
        entry = entry_of(wanted.name, _entry(wanted), path.name)
        async with self._writing:
            with _as_asked():
                await asyncio.to_thread(add_server, path, wanted.name, entry)
        return await self.one(wanted.name)

    async def remove(self, name: str) -> None:
        """See `McpSource`."""
        async with self._writing:
            with _as_asked():
                removed = await asyncio.to_thread(remove_server, self._servers.path, name)
        self._servers.drop(name)
        self._removed.pop(name, None)
        self._removed[name] = removed
        while len(self._removed) > MOST_REMOVED:
            del self._removed[next(iter(self._removed))]

    async def restore(self, name: str) -> McpServerDetail:
        """See `McpSource`."""
        if name not in self._removed:
            raise NotFoundError(
                f"The MCP server {name!r:.80} cannot be put back: it was not removed since this "
                "Kataribe started. Add it anew.",
                param="server",
            )
        async with self._writing:
            with _as_asked():
                await asyncio.to_thread(restore_server, self._servers.path, self._removed[name])
        self._removed.pop(name, None)
        return await self.one(name)

    def _all(self) -> list[McpServerShown]:
        return [self._shown(state) for state in self._servers.states()]

    def _one(self, name: str) -> McpServerShown:
        self._servers.find(name)  # its error suggests near names
        return next(self._shown(state) for state in self._servers.states() if state.name == name)

    def _shown(self, state: ServerState) -> McpServerShown:
        entry = self._servers.find(state.name).entry
        return McpServerShown(
            name=state.name,
            kind=state.kind,
            place=state.place,
            state=state.state,
            error=state.error,
            note=state.note,
            tools=len(state.tools),
            env=[] if entry is None else list(entry.env),
            headers=[] if entry is None else list(entry.headers),
        )


@contextlib.contextmanager
def _as_asked() -> Iterator[None]:
    """A file that a person wrote wrong is theirs to mend, and no fault of the server."""
    try:
        yield
    except FormatError as error:
        raise InputError(error.message, code=error.code) from error


def _tools(tools: Sequence[RemoteTool]) -> list[McpToolShown]:
    return [
        McpToolShown(
            name=tool.listed.name,
            called=tool.spec.name,
            about=tool.spec.description,
            parameters=dict(tool.spec.parameters),
        )
        for tool in tools
    ]


def _named(tools: Sequence[RemoteTool], server: str, name: str) -> RemoteTool:
    for tool in tools:
        if tool.listed.name == name:
            return tool
    raise unknown_tool(name, [tool.listed.name for tool in tools], server, param="tool")


def _entry(wanted: NewMcpServer) -> dict[str, Any]:
    """The entry that a form makes; secrets are variables in it."""
    if wanted.url and wanted.env:
        raise InputError("Variables are given to a program only; an address has none.", param="env")
    if wanted.bearer and not wanted.url:
        raise InputError("A token is sent to an address only.", param="bearer")
    words = _words(wanted.line)
    value: dict[str, Any] = {
        "command": words[0] if words else "",
        "args": words[1:],
        "url": wanted.url.strip(),
        "env": {name: f"${{{name}}}" for name in map(_variable, wanted.env)},
    }
    if wanted.bearer:
        value["headers"] = {"Authorization": f"Bearer ${{{_variable(wanted.bearer)}}}"}
    return {key: said for key, said in value.items() if said}


def _words(line: str) -> list[str]:
    try:
        return shlex.split(line)
    except ValueError as error:
        raise InputError(
            f"The command line cannot be read: {error}. Close what is open, or leave it out.",
            param="line",
        ) from None


def _variable(name: str) -> str:
    if not _VARIABLE.fullmatch(name):
        # Not shown: it may be the secret itself.
        raise InputError(
            "A variable's name has letters, digits and _ only, such as ISSUES_TOKEN. The secret "
            "itself belongs into the environment of `kataribe up`.",
            param="env",
        )
    return name
