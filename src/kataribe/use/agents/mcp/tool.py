"""A tool of an MCP server as one of ours."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from kataribe.base.errors import InputError, ProviderError
from kataribe.base.lm import ToolSpec
from kataribe.use.agents.mcp.arguments import complaint, sound
from kataribe.use.agents.mcp.names import exposed_name
from kataribe.use.agents.mcp.results import told

if TYPE_CHECKING:
    from mcp_types import CallToolResult
    from mcp_types import Tool as ListedTool

LONGEST_DESCRIPTION = 4000
"""Characters; every request pays for them."""

CallServer: TypeAlias = Callable[[str, str, Mapping[str, Any]], Awaitable["CallToolResult"]]
"""Calls a server's tool: server, the tool's own name, arguments."""


class RemoteTool:
    """A `Tool` whose work a server does."""

    def __init__(self, server: str, listed: ListedTool, call: CallServer) -> None:
        self.server = server
        self.listed = listed
        self._call = call
        schema: dict[str, Any] = {"type": "object", **listed.input_schema}
        schema.setdefault("properties", {})
        # Not `strict`: what hosts demand of strict schemas, a stranger's seldom is.
        self._spec = ToolSpec(
            exposed_name(server, listed.name), _about(listed), schema, strict=False
        )

    @property
    def spec(self) -> ToolSpec:
        """How a model sees it."""
        return self._spec

    async def call(self, arguments: Mapping[str, Any]) -> str:
        """The answer in words.

        Raises `InputError` for arguments that do not fit, `ProviderError` for what the server
        says went wrong, or for a server that does not answer.
        """
        wrong = complaint(arguments, self._spec.parameters)
        if wrong is not None:
            raise InputError(
                f"The arguments of {self._spec.name} do not fit: {wrong}. Its parameters are "
                f"{_parameters(self._spec)}.",
                param="arguments",
            )
        result = await self._call(self.server, self.listed.name, sound(arguments))
        words = told(result)
        if result.is_error:
            raise ProviderError(words)
        return words


def remote_tools(
    server: str, listed: Sequence[ListedTool], call: CallServer
) -> tuple[RemoteTool, ...]:
    """The tools of a server; of two by one name the first, which is the one it would run."""
    found: dict[str, RemoteTool] = {}
    for each in listed:
        tool = RemoteTool(server, each, call)
        found.setdefault(tool.spec.name, tool)
    return tuple(found.values())


def _about(listed: ListedTool) -> str:
    words = listed.description or listed.title or ""
    if len(words) <= LONGEST_DESCRIPTION:
        return words
    left_out = len(words) - LONGEST_DESCRIPTION
    return f"{words[:LONGEST_DESCRIPTION]} [{left_out:,} characters left out]"


def _parameters(spec: ToolSpec) -> str:
    needed = spec.parameters.get("required", ())
    names = [
        name if name in needed else f"{name} (optional)" for name in spec.parameters["properties"]
    ]
    return ", ".join(names) or "none"
