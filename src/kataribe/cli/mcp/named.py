"""What the commands of `kataribe mcp` begin with: the file, a server's name, and its session."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias, TypeVar

import typer

if TYPE_CHECKING:
    from kataribe.use.agents.mcp.servers import Servers

_T = TypeVar("_T")

Name: TypeAlias = Annotated[str, typer.Argument(metavar="SERVER", help="The server's name.")]


def path_of(file: Path | None) -> Path:
    """The file that was named, else the workspace's. Raises `NotFoundError` for one not there."""
    from kataribe.base.errors import NotFoundError
    from kataribe.base.workspace import Workspace

    if file is None:
        return Workspace.locate().mcp
    if not file.exists():
        raise NotFoundError(f"There is no file {file}.", param="file")
    return file.absolute()


def with_servers(file: Path | None, work: Callable[[Servers], Awaitable[_T]]) -> _T:
    """Does some work with the servers, and closes their sessions."""
    from kataribe.use.agents.mcp.servers import Servers

    servers = Servers(path_of(file))

    async def run() -> _T:
        try:
            return await work(servers)
        finally:
            await servers.close()

    return asyncio.run(run())
