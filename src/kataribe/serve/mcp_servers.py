"""`/studio/api/mcp`: the MCP servers of the workspace, their tools, tried by hand.

The protocol's own door, by which others ask this Kataribe, is `/mcp`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Path
from starlette.requests import Request as HTTPRequest

from kataribe.base.errors import UnsupportedError
from kataribe.serve.described import failures, takes
from kataribe.serve.desk import Desk, desk_of, rooms_of
from kataribe.serve.errors import RefusedError
from kataribe.serve.intake import read_body
from kataribe.serve.shapes.conversations import Empty
from kataribe.serve.shapes.mcp import (
    CallMcpTool,
    McpAnswer,
    McpServerDetail,
    McpServerList,
    McpServerRemoved,
    NewMcpServer,
)
from kataribe.serve.unless_gone import unless_gone
from kataribe.serve.who import asker_of, owner_of

if TYPE_CHECKING:
    from kataribe.serve.mcp_source import McpSource

# Last in an address, for a name may have any characters that can be seen, also a slash.
# One that is too long is not there.
_Name = Annotated[str, Path(description="The server's name.")]
_CHANGES = failures(400, 403, 404, 413, 415, 507)
_ACTS = failures(400, 403, 404, 413, 415, 503)


def mcp_servers_router() -> APIRouter:
    """The routes."""
    router = APIRouter(prefix="/studio/api/mcp", tags=["studio"])

    @router.get(
        "",
        operation_id="listMcpServers",
        summary="MCP servers whose tools assistants may use; starts none",
        response_model=McpServerList,
        responses=failures(400),
    )
    async def listed(http: HTTPRequest) -> McpServerList:
        desk = desk_of(http)
        owner_of(http.scope)
        accounts = asker_of(http.scope).accounts
        return McpServerList(
            data=list(await _source(desk).all()),
            may_add=not accounts,
            needs_key=accounts or desk.settings.key is not None,
        )

    _add_acts(router)
    _add_changes(router)

    @router.get(
        "/servers/{server:path}",
        operation_id="getMcpServer",
        summary="One server with the tools that it listed last; does not start it",
        response_model=McpServerDetail,
        responses=failures(400, 404),
    )
    async def one(http: HTTPRequest, server: _Name) -> McpServerDetail:
        desk = desk_of(http)
        owner_of(http.scope)
        return await _source(desk).one(server)

    return router


def _add_acts(router: APIRouter) -> None:
    @router.post(
        "/check/{server:path}",
        operation_id="checkMcpServer",
        summary="Start a server where it is not, and have it list its tools",
        response_model=McpServerDetail,
        responses=_ACTS,
        openapi_extra=takes(Empty),
    )
    async def check(http: HTTPRequest, server: _Name) -> McpServerDetail:
        desk = desk_of(http)
        owner_of(http.scope)
        await read_body(http, Empty)
        return await unless_gone(http, desk.lifecycle, _source(desk).check(server))

    @router.post(
        "/call/{server:path}",
        operation_id="callMcpTool",
        summary="Call a tool of a server by hand",
        response_model=McpAnswer,
        responses=_ACTS,
        openapi_extra=takes(CallMcpTool),
    )
    async def call(http: HTTPRequest, server: _Name) -> McpAnswer:
        desk = desk_of(http)
        owner_of(http.scope)
        body = await read_body(http, CallMcpTool)
        work = _source(desk).call(server, body.tool, body.arguments)
        return await unless_gone(http, desk.lifecycle, work)


def _add_changes(router: APIRouter) -> None:
    @router.post(
        "",
        operation_id="addMcpServer",
        summary="Write a server into mcp.json; starts nothing",
        response_model=McpServerDetail,
        responses=_CHANGES,
        openapi_extra=takes(NewMcpServer),
    )
    async def add(http: HTTPRequest) -> McpServerDetail:
        desk = desk_of(http)
        owner_of(http.scope)
        body = await read_body(http, NewMcpServer)
        _check_alone(http)
        return await _source(desk).add(body)

    @router.delete(
        "/servers/{server:path}",
        operation_id="removeMcpServer",
        summary="Take a server out of mcp.json; it can be put back until Kataribe ends",
        response_model=McpServerRemoved,
        responses=_CHANGES,
    )
    async def remove(http: HTTPRequest, server: _Name) -> McpServerRemoved:
        desk = desk_of(http)
        owner_of(http.scope)  # servers are everybody's here, as models are
        await _source(desk).remove(server)
        return McpServerRemoved(name=server)

    @router.post(
        "/restore/{server:path}",
        operation_id="restoreMcpServer",
        summary="Put a removed server back as it was",
        response_model=McpServerDetail,
        responses=_CHANGES,
        openapi_extra=takes(Empty),
    )
    async def restore(http: HTTPRequest, server: _Name) -> McpServerDetail:
        desk = desk_of(http)
        owner_of(http.scope)
        await read_body(http, Empty)
        return await _source(desk).restore(server)


def _check_alone(http: HTTPRequest) -> None:
    """A server is any program of this machine, with any variable of its environment."""
    if asker_of(http.scope).accounts:
        raise RefusedError(
            403,
            "An MCP server is a program on the server's machine. Where people have accounts, only "
            "who runs the server adds one, in a terminal: kataribe mcp add NAME -- COMMAND...",
            code="not_allowed",
        )


def _source(desk: Desk) -> McpSource:
    found = rooms_of(desk).mcp
    if found is None:
        raise UnsupportedError("This server has no MCP servers. Start it with `kataribe up`.")
    return found
