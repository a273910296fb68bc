"""Tools of MCP servers in a recipe: `mcp:SERVER` for all of one, `mcp:SERVER/TOOL` for one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import ExitStack, aclosing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from kataribe.base.errors import (
    FormatError,
    InputError,
    KataribeError,
    StorageError,
)
from kataribe.base.events import Event, Step
from kataribe.base.lm import LM, Capabilities, Request, Tool
from kataribe.use.agents.mcp.entries import unknown_server, unknown_tool
from kataribe.use.agents.mcp.names import PREFIX, split_reference
from kataribe.use.assistants.recipe import Named

if TYPE_CHECKING:
    from kataribe.use.agents.mcp.servers import Servers
    from kataribe.use.agents.mcp.tool import RemoteTool

_Found: TypeAlias = "tuple[RemoteTool, ...] | KataribeError"


@dataclass(frozen=True, slots=True)
class Reached:
    """What servers gave.

    Attributes:
        tools: By what the recipe calls them; none where their server is not to be had.
        problems: One line for each server that is not.
    """

    tools: Mapping[str, Sequence[Tool]] = field(default_factory=dict)
    problems: tuple[str, ...] = ()


async def reach(named: Sequence[Named], servers: Servers | None, stack: ExitStack) -> Reached:
    """Opens the servers that a recipe names, side by side; `stack` lets their sessions go.

    A server that does not start costs its own tools only. Raises `NotFoundError` for one that the
    file does not know, and `InputError` for a tool that its server does not have, with near names.
    """
    wanted = [each for each in named if each.name.startswith(PREFIX)]
    if not wanted or servers is None:
        return Reached()
    try:
        known = await asyncio.to_thread(servers.names)
    except (FormatError, StorageError) as error:
        return Reached({each.name: () for each in wanted}, (error.message,))
    split = {each.name: split_reference(each.name.removeprefix(PREFIX), known) for each in wanted}
    for each in wanted:
        if split[each.name][0] not in known:
            raise unknown_server(split[each.name][0], dict.fromkeys(known), str(servers.path))
        if each.options:
            raise InputError(f"The tool {each.name} has no options.", param="tools")
    asked = tuple(dict.fromkeys(server for server, _ in split.values()))
    stack.enter_context(servers.held(asked))
    answers = await asyncio.gather(*(_tools(servers, name) for name in asked))
    found = dict(zip(asked, answers, strict=True))
    problems = tuple(each.message for each in answers if isinstance(each, KataribeError))
    # A tool that is named by itself is not also one of all its server's, so that it can have an
    # approval of its own.
    alone = set(split.values())
    tools = {
        name: _chosen(found[server], server, tool, alone) for name, (server, tool) in split.items()
    }
    return Reached(tools, problems)


async def _tools(servers: Servers, name: str) -> _Found:
    try:
        return await servers.tools(name)
    except KataribeError as error:
        return error


def _chosen(
    found: _Found, server: str, tool: str | None, alone: set[tuple[str, str | None]]
) -> tuple[Tool, ...]:
    if isinstance(found, KataribeError):
        return ()
    if tool is None:
        return tuple(each for each in found if (server, each.listed.name) not in alone)
    for each in found:
        if each.listed.name == tool:
            return (each,)
    raise unknown_tool(tool, [each.listed.name for each in found], server, param="tools")


class Announced:
    """Says at the begin of a reply, in steps named `mcp`, which servers are not to be had."""

    def __init__(self, lm: LM, problems: Sequence[str]) -> None:
        self._lm = lm
        self._problems = tuple(problems)

    @property
    def name(self) -> str:
        """The name of who answers."""
        return self._lm.name

    @property
    def capabilities(self) -> Capabilities:
        """What that can do."""
        return self._lm.capabilities

    async def stream(self, request: Request) -> AsyncIterator[Event]:
        """Answers after the steps."""
        for problem in self._problems:
            yield Step("mcp", f"{problem} The reply goes on without its tools.")
        async with aclosing(self._lm.stream(request)) as events:  # type: ignore[type-var]
            async for event in events:
                yield event
