"""Tools of MCP servers at a command: `--tools mcp:SERVER`, or `mcp:SERVER/TOOL` for one of them.

A session belongs to the event loop that opens it, and a command has a loop for each reply: so the
servers are opened when a reply begins and end with it, whatever ends it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import ExitStack, aclosing
from typing import TYPE_CHECKING, TypeAlias

from kataribe.base.errors import InputError
from kataribe.base.events import Event
from kataribe.base.lm import LM, Capabilities, Request
from kataribe.base.workspace import Workspace
from kataribe.use.agents.mcp.entries import read_servers, unknown_server
from kataribe.use.agents.mcp.names import PREFIX, split_reference
from kataribe.use.assistants.remote import Announced, reach
from kataribe.use.assistants.toolbox import Toolbox, kind_of, open_toolbox

if TYPE_CHECKING:
    from kataribe.use.agents.tools.approvals import Approval
    from kataribe.use.assistants.recipe import Named

Make: TypeAlias = Callable[[Toolbox], LM]
"""From the tools to whom they help; called once for each reply where servers have them."""


def tool_name(name: str) -> str:
    """The tool's name, as it is asked for.

    Raises `NotFoundError` with near names for a tool or a server that is not there, and
    `FormatError` for a file of servers that cannot be read. Starts no server.
    """
    if not name.startswith(PREFIX):
        return kind_of(name).name
    path = Workspace.locate().mcp
    known = read_servers(path)
    server, _ = split_reference(name.removeprefix(PREFIX), known)
    if server not in known:
        raise unknown_server(server, known, str(path))
    return name


def check_tools(tools: Sequence[Named]) -> None:
    """Raises what is wrong with tools that can be told before anybody is asked."""
    for each in tools:
        if each.name.startswith(PREFIX) and each.options:
            raise InputError(f"The tool {each.name} has no options.", param="option")
    with ExitStack() as stack:
        open_toolbox(tools, "ask", stack, dict.fromkeys(_remote(tools), ()))


def with_tools(
    tools: Sequence[Named], approve: Approval, lm: LM, make: Make, stack: ExitStack
) -> LM:
    """What `make` makes of these tools; `stack` closes what they hold.

    Where servers have some of them, it is made in each reply, as long as their sessions last; it
    has the name and the abilities of `lm`.
    """
    if not _remote(tools):
        return make(open_toolbox(tools, approve, stack))
    return Reaching(lm, tools, approve, make)


def _remote(tools: Sequence[Named]) -> list[str]:
    return [each.name for each in tools if each.name.startswith(PREFIX)]


class Reaching:
    """An `LM` whose tools are, some of them, those of the workspace's MCP servers; see above.

    A server that cannot be used costs its own tools: a step says so, and the reply goes on.
    """

    def __init__(self, lm: LM, tools: Sequence[Named], approve: Approval, make: Make) -> None:
        """Starts nothing.

        Args:
            lm: The model, for its name and abilities.
            tools: By name, with their options.
            approve: For tools that need consent.
            make: Makes of the tools who answers.
        """
        self._lm = lm
        self._tools = tuple(tools)
        self._approve = approve
        self._make = make
        from kataribe.use.agents.mcp.servers import Servers

        self._servers = Servers(Workspace.locate().mcp)

    @property
    def name(self) -> str:
        """The model's."""
        return self._lm.name

    @property
    def capabilities(self) -> Capabilities:
        """What the model can do."""
        return self._lm.capabilities

    async def stream(self, request: Request) -> AsyncIterator[Event]:
        """Answers while the servers are open; they have ended when this has."""
        with ExitStack() as stack:
            try:
                reached = await reach(self._tools, self._servers, stack)
                box = open_toolbox(self._tools, self._approve, stack, reached.tools)
                lm = self._make(box)
                if reached.problems:
                    lm = Announced(lm, reached.problems)
                async with aclosing(lm.stream(request)) as events:  # type: ignore[type-var]
                    async for event in events:
                        yield event
            finally:
                await self._servers.close()
