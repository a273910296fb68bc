"""`kataribe mcp call`: one call of a server's tool by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from kataribe.cli import options
from kataribe.cli.mcp.named import Name, with_servers

if TYPE_CHECKING:
    from kataribe.use.agents.mcp.servers import Servers
    from kataribe.use.agents.mcp.tool import RemoteTool


def call(
    server: Name,
    tool: Annotated[str, typer.Argument(metavar="TOOL", help="The tool's name.")],
    arguments: Annotated[
        str, typer.Option("--json", help="Its arguments as a JSON object; - reads standard input.")
    ] = "{}",
    file: options.McpFile = None,
) -> None:
    """Call a tool and print what a model would be told.

    Example: kataribe mcp call files read_file --json '{"path": "notes.txt"}'
    """
    from kataribe.cli.output import say

    given = _given(arguments)

    async def ask(servers: Servers) -> str:
        return await _named(await servers.tools(server), server, tool).call(given)

    say(with_servers(file, ask))


def _given(text: str) -> dict[str, Any]:
    import json

    from kataribe.base.errors import InputError
    from kataribe.cli.given import piped_text

    words = piped_text() if text == "-" else text
    try:
        found = json.loads(words)
    except (ValueError, RecursionError) as error:
        raise InputError(f"--json is {words[:80]!r}, which is no JSON: {error}.") from None
    if not isinstance(found, dict):
        raise InputError(f'--json is {words[:80]!r}; give an object such as {{"path": "a.txt"}}.')
    return found


def _named(tools: tuple[RemoteTool, ...], server: str, name: str) -> RemoteTool:
    from kataribe.use.agents.mcp.entries import unknown_tool

    for tool in tools:
        if name in (tool.listed.name, tool.spec.name):
            return tool
    raise unknown_tool(name, [tool.listed.name for tool in tools], server)
