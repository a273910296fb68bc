"""`kataribe mcp add`: one more server in mcp.json."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from kataribe.cli import options


def add(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What it is called here.")],
    command: Annotated[
        list[str] | None,
        typer.Argument(metavar="-- COMMAND...", help="The program that is it, with arguments."),
    ] = None,
    url: Annotated[
        str | None, typer.Option("--url", help="The address of a server elsewhere.")
    ] = None,
    kind: Annotated[
        str | None, typer.Option("--type", help="stdio, http or sse [default: stdio, or http].")
    ] = None,
    env: Annotated[
        list[str] | None,
        typer.Option(
            "--env",
            "-e",
            help="NAME=VALUE for its environment, or NAME, which is taken from yours each time "
            "and never written down; repeatable.",
        ),
    ] = None,
    header: Annotated[
        list[str] | None,
        typer.Option(
            "--header", help="'NAME: VALUE' for every request; ${NAME} is a variable; repeatable."
        ),
    ] = None,
    cwd: Annotated[
        str, typer.Option("--cwd", help="Where it runs [default: the file's folder].")
    ] = "",
    timeout: Annotated[
        float | None, typer.Option("--timeout", help="Seconds that a call may take [default: 60].")
    ] = None,
    file: options.McpFile = None,
) -> None:
    """Write a server into mcp.json. Nothing is started; kataribe mcp tools NAME tries it.

    Example: kataribe mcp add files -- npx -y @modelcontextprotocol/server-filesystem ~/notes
    """
    from kataribe.base.workspace import Workspace
    from kataribe.cli.output import note, say
    from kataribe.use.agents.mcp.entries import add_server, entry_of

    words = list(command or ())
    value: dict[str, Any] = {
        "command": words[0] if words else None,
        "args": words[1:],
        "url": url,
        "type": kind,
        "env": dict(_variable(each) for each in env or ()),
        "headers": dict(_header(each) for each in header or ()),
        "cwd": cwd,
        "timeout": timeout,
    }
    path = file.absolute() if file is not None else Workspace.locate().mcp
    entry = entry_of(name, {key: said for key, said in value.items() if said}, path.name)
    add_server(path, name, entry)
    say(str(path))
    note(f"Try it: kataribe mcp tools {name}")


def _variable(text: str) -> tuple[str, str]:
    from kataribe.base.errors import InputError

    name, equals, value = text.partition("=")
    if not name.strip():
        raise InputError("--env has no name; write --env NAME=VALUE or --env NAME.")
    return name, value if equals else f"${{{name}}}"


def _header(text: str) -> tuple[str, str]:
    from kataribe.base.errors import InputError

    name, colon, value = text.partition(":")
    if not colon or not name.strip():
        # Not shown: it may be the secret itself.
        raise InputError("--header needs a name and a colon: --header 'Authorization: Bearer ...'.")
    return name.strip(), value.strip()
