"""`kataribe mcp rm`: takes a server out of mcp.json."""

from __future__ import annotations

from typing import Annotated

import typer

from kataribe.cli import options
from kataribe.cli.mcp.named import Name, path_of


def rm(
    server: Name,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    file: options.McpFile = None,
) -> None:
    """Take a server out of mcp.json, with all that is written there about it."""
    from kataribe.cli.output import note
    from kataribe.use.agents.mcp.entries import read_servers, remove_server, unknown_server

    path = path_of(file)
    known = read_servers(path)
    if server not in known:
        raise unknown_server(server, known, str(path))
    if not yes:
        typer.confirm(f"Take {server} out of {path}?", abort=True, err=True)
    remove_server(path, server)
    note(f"{server} is gone from {path}.")
