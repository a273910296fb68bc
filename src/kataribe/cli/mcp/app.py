"""The commands of `kataribe mcp` together."""

from __future__ import annotations

import typer

from kataribe.cli.mcp import add, call, listing, rm, serve, tools

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Use the tools of MCP servers, and be one for other programs.",
)
app.command("list")(listing.list_servers)
app.command("tools")(tools.tools)
app.command("call")(call.call)
app.command("add")(add.add)
app.command("rm")(rm.rm)
app.command("serve")(serve.serve)
