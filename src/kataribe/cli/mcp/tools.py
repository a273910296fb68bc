"""`kataribe mcp tools`: what a server can do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kataribe.cli import options
from kataribe.cli.mcp.named import Name, with_servers

if TYPE_CHECKING:
    from kataribe.use.agents.mcp.servers import Servers
    from kataribe.use.agents.mcp.tool import RemoteTool


def tools(server: Name, file: options.McpFile = None, json: options.Json = False) -> None:
    """List the tools of a server, which is started for it.

    A recipe names them all as mcp:SERVER, or one as mcp:SERVER/TOOL.

    Example: kataribe mcp tools files
    """
    from kataribe.cli.output import emit_json, table

    async def ask(servers: Servers) -> tuple[RemoteTool, ...]:
        return await servers.tools(server)

    found = with_servers(file, ask)
    if json:
        emit_json(
            [
                {
                    "name": tool.listed.name,
                    "called": tool.spec.name,
                    "about": tool.spec.description,
                    "parameters": tool.spec.parameters,
                }
                for tool in found
            ]
        )
        return
    rows = [(tool.listed.name, _parameters(tool), _line(tool)) for tool in found]
    table(("TOOL", "PARAMETERS", "WHAT IT DOES"), rows)


def _parameters(tool: RemoteTool) -> str:
    needed = tool.spec.parameters.get("required", ())
    names = tool.spec.parameters["properties"]
    return ", ".join(name if name in needed else f"[{name}]" for name in names)


def _line(tool: RemoteTool) -> str:
    return " ".join(tool.spec.description.split())[:200]
