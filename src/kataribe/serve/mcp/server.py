"""The MCP server itself, by the official SDK: who calls, over which transport, is told to it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server
from mcp_types import CallToolRequestParams, CallToolResult, ListToolsResult, PaginatedRequestParams

import kataribe
from kataribe.serve.mcp.offer import Caller, Offer
from kataribe.serve.mcp.tools import call, tools_of

RequestContext: TypeAlias = ServerRequestContext[Any, Any]
_INSTRUCTIONS = (
    "Kataribe runs language models and assistants on its owner's machine. list_models says who can "
    "be asked; ask asks one of them a question that stands for itself."
)


def build_server(offer: Offer, caller_of: Callable[[RequestContext], Caller]) -> Server[Any]:
    """The server; `caller_of` says of each call whose it is."""

    async def list_tools(_: RequestContext, __: PaginatedRequestParams | None) -> ListToolsResult:
        return ListToolsResult(tools=tools_of(offer))

    async def call_tool(context: RequestContext, asked: CallToolRequestParams) -> CallToolResult:
        return await call(offer, asked.name, asked.arguments, caller_of(context))

    return Server(
        "kataribe",
        version=kataribe.__version__,
        title="Kataribe",
        instructions=_INSTRUCTIONS,
        on_list_tools=list_tools,
        on_call_tool=call_tool,
    )


def reporter(context: RequestContext) -> Callable[[float, str], Any]:
    """Tells progress on the connection that a call came by; nothing where it wants none."""

    async def report(number: float, words: str) -> None:
        await context.session.report_progress(number, None, words)

    return report


async def serve_stdio(offer: Offer) -> None:
    """Serves whoever started this process, until its standard input ends."""
    server = build_server(offer, lambda context: Caller(report=reporter(context)))
    async with stdio_server() as (incoming, outgoing):
        await server.run(incoming, outgoing, server.create_initialization_options())
