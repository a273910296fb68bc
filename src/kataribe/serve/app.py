"""The application: routes inside, gates around."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import AsyncIterator
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request as HTTPRequest
from starlette.responses import Response
from starlette.routing import compile_path

import kataribe
from kataribe.base.errors import KataribeError
from kataribe.serve.access import Access
from kataribe.serve.addresses import way_out
from kataribe.serve.anthropic import anthropic_router
from kataribe.serve.assistants import assistants_router
from kataribe.serve.attachments import attachments_router
from kataribe.serve.catalog import catalog_router
from kataribe.serve.chat import chat_router
from kataribe.serve.completions import completions_router
from kataribe.serve.conversations import conversations_router
from kataribe.serve.costs import costs_router
from kataribe.serve.desk import Desk
from kataribe.serve.docs import docs_router
from kataribe.serve.embeddings import embeddings_router
from kataribe.serve.errors import RefusedError, error_response, on_error
from kataribe.serve.events import events_router
from kataribe.serve.gate import Gate
from kataribe.serve.inside import inside_router
from kataribe.serve.jobs import jobs_router, working
from kataribe.serve.lifecycle import Lifecycle
from kataribe.serve.mcp.door import McpDoor
from kataribe.serve.mcp_servers import mcp_servers_router
from kataribe.serve.memory import memory_router
from kataribe.serve.messages import messages_router
from kataribe.serve.metrics import Metrics
from kataribe.serve.models import ModelSource
from kataribe.serve.openapi import describe
from kataribe.serve.people import people_router
from kataribe.serve.preferences import preferences_router
from kataribe.serve.prompt_runs import prompting_router
from kataribe.serve.queue import queue_router
from kataribe.serve.recipes import recipes_router
from kataribe.serve.residents import residents_router
from kataribe.serve.responses import responses_router
from kataribe.serve.rooms import Rooms
from kataribe.serve.search import search_router
from kataribe.serve.service import service_router
from kataribe.serve.settings import ServerSettings
from kataribe.serve.sharing import sharing_router
from kataribe.serve.studio_files import StudioFiles
from kataribe.serve.sweeping import sweep_now_and_then
from kataribe.serve.tokenizers import tokenizers_router
from kataribe.serve.tokens import tokens_router
from kataribe.serve.training import training_router
from kataribe.serve.transfer import transfer_router

ROUTERS = (
    chat_router,
    completions_router,
    responses_router,
    anthropic_router,
    tokens_router,
    embeddings_router,
    service_router,
    residents_router,
    people_router,
    conversations_router,
    messages_router,
    inside_router,
    queue_router,
    events_router,
    search_router,
    attachments_router,
    preferences_router,
    costs_router,
    memory_router,
    transfer_router,
    sharing_router,
    jobs_router,
    catalog_router,
    training_router,
    tokenizers_router,
    prompting_router,
    assistants_router,
    recipes_router,
    mcp_servers_router,
    docs_router,
)
"""What makes the routes of the API and the studio, in the order in which they are described."""


def create_app(
    models: ModelSource,
    settings: ServerSettings,
    lifecycle: Lifecycle | None = None,
    rooms: Rooms | None = None,
) -> FastAPI:
    """The HTTP API over `models`; with `rooms`, the studio's own calls work, too.

    `lifecycle` is shared with whoever starts and stops the server; the default one is ready.
    Starts nothing: no socket, no model.
    """
    cycle = lifecycle or Lifecycle()
    desk = Desk(models, settings, cycle, Metrics(models, cycle), rooms)
    app = FastAPI(
        title="Kataribe",
        lifespan=functools.partial(_while_serving, desk=desk),
        version=kataribe.__version__,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        exception_handlers={
            KataribeError: on_error,
            HTTPException: _on_http,
            RequestValidationError: _on_validation,
        },
    )
    app.state.desk = desk
    app.include_router(_routes())
    app.openapi = openapi_document  # type: ignore[method-assign]
    # Whatever is no route belongs to the studio; being the router's last resort it leaves a wrong
    # method on a route a 405.
    app.router.default = StudioFiles(settings.studio)
    app.add_middleware(Gate, desk=desk, router=app.router)
    app.add_middleware(Access, metrics=desk.metrics, lifecycle=cycle)
    return app


@functools.cache
def _routes() -> APIRouter:
    """All routes, made once for all apps: what they work with is the app's (`desk_of`).

    Reading their shapes takes a quarter of a second.
    """
    every = APIRouter()
    for router in ROUTERS:
        every.include_router(router())
    return every


@functools.cache
def openapi_document() -> dict[str, Any]:
    """What the routes say of themselves, for OpenAPI."""
    return describe(_routes().routes)


@contextlib.asynccontextmanager
async def _while_serving(app: FastAPI, *, desk: Desk) -> AsyncIterator[None]:
    """Around all requests: what a former process left unfinished, and what this one leaves."""
    # Its calls need a task that outlives each of them, so it stands only while there is one.
    door = McpDoor(desk)
    app.router.routes.append(door.route)
    if desk.rooms is None:
        yield
        await door.close()
        return
    chats = desk.rooms.chats
    chats.begin()
    desk.lifecycle.at_stop(chats.hub.close)  # streams of news would hold the end up
    sweeping = asyncio.create_task(sweep_now_and_then(desk.rooms.store, desk.rooms.sweeps))
    try:
        async with contextlib.AsyncExitStack() as at_end:
            if desk.rooms.jobs is not None:
                await at_end.enter_async_context(working(desk.rooms.jobs, chats.hub))
            yield
    finally:
        sweeping.cancel()
        await door.close()
        await chats.close()


async def _on_http(http: HTTPRequest, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    hint = way_out(http.scope) if error.status_code == 404 else "See /docs for what there is."
    headers = dict(error.headers or {})
    if error.status_code == 405 and (allowed := _allowed(http)):
        headers["Allow"] = ", ".join(allowed)
    return error_response(
        RefusedError(
            error.status_code,
            f"{error.detail}: {http.method} {http.url.path}. {hint}",
            code=str(error.detail).lower().replace(" ", "_"),
            headers=headers,
        ),
        http.scope,
    )


def _allowed(http: HTTPRequest) -> list[str]:
    """All methods of an address (RFC 9110, 15.5.6); the router names those of one route only."""
    described = http.app.openapi()["paths"]
    found = [place for place in described if compile_path(place)[0].match(http.url.path)]
    # A name in a path may be any word, also one that has an address of its own.
    nearest = min(found, key=lambda place: place.count("{"), default=None)
    return sorted(method.upper() for method in described.get(nearest, ()))


async def _on_validation(http: HTTPRequest, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    refused = RefusedError(400, f"{first['msg']}.", code="invalid_value")
    refused.param = str(first["loc"][-1])
    return error_response(refused, http.scope)
