"""`kataribe mcp list`: which servers there are, and how they are."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import TYPE_CHECKING, Annotated

import typer

from kataribe.cli import options
from kataribe.cli.mcp.named import with_servers

if TYPE_CHECKING:
    from kataribe.use.agents.mcp.servers import Servers, ServerState


def list_servers(
    check: Annotated[
        bool, typer.Option("--check", help="Start each, and say which tools it has.")
    ] = False,
    file: options.McpFile = None,
    json: options.Json = False,
) -> None:
    """List the MCP servers of mcp.json, without what may be secret: arguments, variables, headers.

    Exit code 1 where --check finds one that cannot be used.

    Example: kataribe mcp list --check
    """
    from kataribe.cli.output import emit_json, note, table

    async def look(servers: Servers) -> tuple[ServerState, ...]:
        if check:
            await asyncio.gather(*(_tried(servers, name) for name in servers.names()))
        return servers.states()

    found = with_servers(file, look)
    if json:
        emit_json([dataclasses.asdict(state) for state in found])
    else:
        if not found:
            note("There are no MCP servers yet. Add one: kataribe mcp add NAME -- COMMAND...")
        table(("NAME", "KIND", "STATE", "WHERE", ""), [_row(state, check=check) for state in found])
    if check and any(state.state in ("wrong", "failed") for state in found):
        raise typer.Exit(1)


async def _tried(servers: Servers, name: str) -> None:
    from kataribe.base.errors import KataribeError

    try:
        await servers.tools(name)
    except KataribeError:
        return  # its state says it


def _row(state: ServerState, *, check: bool) -> tuple[str, str, str, str, str]:
    tools = f"{len(state.tools)} tools" if check and state.state == "open" else ""
    return (
        state.name,
        state.kind or "",
        state.state,
        state.place,
        state.error or tools or state.note,
    )
