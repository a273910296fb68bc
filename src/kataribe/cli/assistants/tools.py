"""`kataribe assistants tools`: what a recipe can name under `tools:`."""

from __future__ import annotations

from kataribe.cli import options


def tools(json: options.Json = False) -> None:
    """List the tools that recipes can name, and which of them run without being asked for.

    Those of MCP servers are mcp:SERVER, or mcp:SERVER/TOOL for one: see kataribe mcp tools.
    """
    from kataribe.base.workspace import Workspace
    from kataribe.cli.output import emit_json, table
    from kataribe.use.agents.mcp.entries import read_servers
    from kataribe.use.agents.mcp.names import PREFIX
    from kataribe.use.assistants.toolbox import KINDS

    rows = [(kind.name, kind.approval, kind.line) for kind in KINDS.values()]
    rows += [
        (f"{PREFIX}{name}", "ask", f"all tools of the MCP server {name}")
        for name in read_servers(Workspace.locate().mcp)
    ]
    if json:
        emit_json([{"name": name, "about": line, "approval": word} for name, word, line in rows])
        return
    table(("NAME", "APPROVAL", "WHAT IT DOES"), rows)
