"""What the server needs from whoever knows the MCP servers of a workspace."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from kataribe.serve.shapes.mcp import McpAnswer, McpServerDetail, McpServerShown, NewMcpServer


class McpSource(Protocol):
    """Knows the servers, which belong to the machine as its models do.

    Called in the event loop of the server; does not block it. A name that no server has is a
    `NotFoundError` with near names.
    """

    async def all(self) -> Sequence[McpServerShown]:
        """How all are; starts none. Raises `FormatError` for a file that is none."""
        ...

    async def one(self, name: str) -> McpServerDetail:
        """One with the tools that it listed last; does not start it."""
        ...

    async def check(self, name: str) -> McpServerDetail:
        """Starts it where it is not, and has it list its tools; its state says what went wrong."""
        ...

    async def call(self, name: str, tool: str, arguments: Mapping[str, Any]) -> McpAnswer:
        """What a tool answers.

        Raises `InputError` for arguments that do not fit its schema, before anything is sent.
        """
        ...

    async def add(self, wanted: NewMcpServer) -> McpServerDetail:
        """Writes a server down, and starts nothing; raises `InputError` for what cannot be one."""
        ...

    async def remove(self, name: str) -> None:
        """Takes a server out so that `restore` can put it back, and ends its session."""
        ...

    async def restore(self, name: str) -> McpServerDetail:
        """Undoes `remove`."""
        ...
