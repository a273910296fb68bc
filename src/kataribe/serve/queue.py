"""`/studio/api/conversations/{talk}/queue`: the messages that wait for their turn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Path
from starlette.requests import Request as HTTPRequest

from kataribe.serve import talking
from kataribe.serve.conversations import WRONG, Name
from kataribe.serve.described import takes
from kataribe.serve.desk import Desk, desk_of, rooms_of
from kataribe.serve.intake import read_body
from kataribe.serve.shapes import conversations as shapes
from kataribe.serve.who import owner_of
from kataribe.store.queue import files as files_waiting

if TYPE_CHECKING:
    from kataribe.store.queue import Item

Waiting = Annotated[str, Path(max_length=32, description="Id of the message that waits.")]


def queue_router() -> APIRouter:
    """The routes."""
    router = APIRouter(prefix="/studio/api/conversations/{talk}/queue", tags=["studio"])
    _item_routes(router)
    _answer_routes(router)
    return router


def _item_routes(router: APIRouter) -> None:
    @router.patch(
        "/{item}",
        operation_id="editQueued",
        summary="Change what a waiting message says",
        response_model=shapes.QueueList,
        responses=WRONG,
        openapi_extra=takes(shapes.QueueChange),
    )
    async def edit(http: HTTPRequest, talk: Name, item: Waiting) -> shapes.QueueList:
        desk = desk_of(http)
        body = await read_body(http, shapes.QueueChange)
        items = await rooms_of(desk).chats.edit(owner_of(http.scope), talk, item, body.text)
        return await _listed(desk, items)

    @router.delete(
        "/{item}",
        operation_id="withdrawQueued",
        summary="Take a waiting message back",
        response_model=shapes.QueueList,
        responses=WRONG,
    )
    async def withdraw(http: HTTPRequest, talk: Name, item: Waiting) -> shapes.QueueList:
        desk = desk_of(http)
        items = await rooms_of(desk).chats.withdraw(owner_of(http.scope), talk, item)
        return await _listed(desk, items)

    @router.post(
        "/{item}/merge",
        operation_id="mergeQueued",
        summary="Make one turn of two waiting neighbours",
        response_model=shapes.QueueList,
        responses=WRONG,
        openapi_extra=takes(shapes.Merge),
    )
    async def merge(http: HTTPRequest, talk: Name, item: Waiting) -> shapes.QueueList:
        desk = desk_of(http)
        body = await read_body(http, shapes.Merge)
        items = await rooms_of(desk).chats.merge(owner_of(http.scope), talk, item, body.other)
        return await _listed(desk, items)


def _answer_routes(router: APIRouter) -> None:
    @router.post(
        "/{item}/now",
        operation_id="answerQueuedNow",
        summary="Answer a waiting message at once, in place of what runs",
        response_model=shapes.QueueList,
        responses=WRONG,
        openapi_extra=takes(shapes.Empty),
    )
    async def now(http: HTTPRequest, talk: Name, item: Waiting) -> shapes.QueueList:
        desk = desk_of(http)
        await read_body(http, shapes.Empty)
        return await _listed(desk, await rooms_of(desk).chats.now(owner_of(http.scope), talk, item))

    @router.post(
        "/steer",
        operation_id="steer",
        summary="Stop what runs, and answer all that waits as one",
        response_model=shapes.QueueList,
        responses=WRONG,
        openapi_extra=takes(shapes.Empty),
    )
    async def steer(http: HTTPRequest, talk: Name) -> shapes.QueueList:
        desk = desk_of(http)
        await read_body(http, shapes.Empty)
        return await _listed(desk, await rooms_of(desk).chats.steer(owner_of(http.scope), talk))


async def _listed(desk: Desk, items: tuple[Item, ...]) -> shapes.QueueList:
    files = await rooms_of(desk).store.read(lambda tx: files_waiting(tx, items))
    return shapes.QueueList(data=talking.queued(items, files))
