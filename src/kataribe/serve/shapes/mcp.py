"""MCP servers of the studio: how they are, their tools, one call by hand."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from kataribe.serve.shapes.strict import Incoming, Outgoing

_Variable = Annotated[str, Field(min_length=1, max_length=200)]


class McpServerShown(Outgoing):
    """A server of `mcp.json`, without what may be secret: arguments, queries, values."""

    name: str
    kind: Literal["stdio", "http", "sse"] | None = Field(
        description="How it is spoken to; null where its entry is wrong."
    )
    place: str = Field(description="Its program, or its address.")
    state: Literal["wrong", "off", "closed", "open", "failed"] = Field(
        description="`wrong`: its entry; `off`: disabled; `closed`: not started, or not any more; "
        "`failed`: the last try."
    )
    error: str = Field(description="What went wrong last; empty where nothing has.")
    note: str = Field(
        description="What of its entry is passed over, or read in another way than it is written; "
        "empty where nothing is."
    )
    tools: int = Field(description="How many it listed last.")
    env: list[str] = Field(description="Variables that its environment has from its entry.")
    headers: list[str] = Field(description="Headers that are sent to it.")


class McpServerList(Outgoing):
    """The servers in the order of the file."""

    object: Literal["list"] = "list"
    data: list[McpServerShown]
    may_add: bool = Field(
        description="False where people have accounts: a server is a program of this machine."
    )
    needs_key: bool = Field(description="Others must send a key to ask this Kataribe at `/mcp`.")


class McpToolShown(Outgoing):
    """A tool of a server."""

    name: str = Field(description="The server's own name for it.")
    called: str = Field(description="How models know it.")
    about: str
    parameters: dict[str, Any] = Field(description="JSON schema of its arguments.")


class McpServerDetail(Outgoing):
    """A server with the tools that it listed last."""

    server: McpServerShown
    tools: list[McpToolShown]


class NewMcpServer(Incoming):
    """One more server: a command line or an address.

    Secrets stay in the environment of this Kataribe: only names of its variables are written down.
    """

    name: str = Field(min_length=1, max_length=100)
    line: str = Field(
        "",
        max_length=4000,
        description="The program with its arguments, with a shell's quotes; no shell reads it.",
    )
    url: str = Field("", max_length=4000)
    env: list[_Variable] = Field(
        default_factory=list,
        max_length=50,
        description="Names of variables that its program gets from this Kataribe's environment.",
    )
    bearer: str = Field(
        "",
        max_length=200,
        description="Name of the variable whose value is sent as `Authorization: Bearer`.",
    )


class McpServerRemoved(Outgoing):
    """Which server was taken out; it can be put back until this Kataribe ends."""

    name: str


class CallMcpTool(Incoming):
    """Call a tool by hand. Who sends this consents to it."""

    tool: str = Field(min_length=1, max_length=500, description="The server's own name for it.")
    arguments: dict[str, Any] = Field(default_factory=dict)


class McpAnswer(Outgoing):
    """What a model would have been told."""

    text: str
    left_out: int = Field(description="Characters of the answer that are not in `text`.")
    failed: bool = Field(description="The tool or its server says that it went wrong.")
    seconds: float
