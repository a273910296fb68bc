"""Responses that are kept: what `/v1/responses` goes on from, and what one can look up."""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query
from pydantic import TypeAdapter
from sqlalchemy import Connection
from starlette.requests import Request as HTTPRequest
from starlette.responses import Response

from kataribe.base.errors import InputError, UnsupportedError
from kataribe.serve.described import failures
from kataribe.serve.desk import Desk, desk_of, rooms_of
from kataribe.serve.shapes.responses import (
    FunctionCallItem,
    FunctionCallOutputItem,
    InputItem,
    InputMessage,
    ItemReference,
    ReasoningItem,
    ResponsesRequest,
    SaidMessage,
)
from kataribe.serve.shapes.responses_replies import (
    ResponseDeleted,
    ResponseInputItems,
    ResponseObject,
)
from kataribe.serve.telling import to_bytes
from kataribe.serve.who import asker_of, owner_of
from kataribe.store import responses
from kataribe.store.responses import Kept

_WRONG = failures(400, 403, 404, 503, 507)
_ITEM = re.compile(r"[a-z]{2,4}_([0-9a-f]{20})[0-9a-f]{4}")
_OWN_ITEMS = 0x8000
"""Numbers of a request's items begin here, those of its reply at 0."""

Id = Annotated[str, Path(max_length=responses.LONGEST_ID, description="Id of the response.")]


@dataclass(frozen=True, slots=True)
class Going:
    """A request with all that it goes on from.

    Attributes:
        body: The request, items in the places of references to them.
        before: The items of the responses before it.
        owner: Whose its response will be; None where it is not kept.
    """

    body: ResponsesRequest
    before: Sequence[InputItem] = ()
    owner: str | None = None


async def going_on(desk: Desk, http: HTTPRequest, body: ResponsesRequest) -> Going:
    """Looks up what a request refers to; raises what is not there, or cannot be kept."""
    asker = asker_of(http.scope).owner if desk.rooms is not None else None
    if asker is None or desk.rooms is None:
        _check_alone(body)
        return Going(body)
    owner: str = asker

    def look(tx: Connection) -> Going:
        before: list[InputItem] = []
        if body.previous_response_id is not None:
            for kept in responses.chain(tx, owner, body.previous_response_id):
                before += _items([*kept.input, *kept.response["output"]])
        kept_for = None if body.store is False else owner
        return Going(_resolved(tx, owner, body), before, kept_for)

    if body.previous_response_id is None and not _references(body):
        return Going(body, owner=None if body.store is False else owner)
    return await desk.rooms.store.read(look)


def _check_alone(body: ResponsesRequest) -> None:
    asked = {
        "previous_response_id": body.previous_response_id is not None,
        **dict.fromkeys(_references(body), True),
    }
    for field, is_asked in asked.items():
        if is_asked:
            raise UnsupportedError(
                f"{field} needs responses that are kept, and none are: this server has no "
                "database, or its own key was sent, which is nobody's. Send the items before it "
                "in input, with its output among them.",
                param=field,
            )


def _references(body: ResponsesRequest) -> list[str]:
    if isinstance(body.input, str):
        return []
    return [
        f"input[{number}]"
        for number, item in enumerate(body.input)
        if isinstance(item, ItemReference)
    ]


def _resolved(tx: Connection, owner: str, body: ResponsesRequest) -> ResponsesRequest:
    if isinstance(body.input, str):
        return body
    items = [
        _found(tx, owner, item, f"input[{number}].id") if isinstance(item, ItemReference) else item
        for number, item in enumerate(body.input)
    ]
    return body.model_copy(update={"input": items})


def _found(tx: Connection, owner: str, wanted: ItemReference, place: str) -> InputItem:
    form = _ITEM.fullmatch(wanted.id)
    found = form and responses.item(tx, owner, f"resp_{form[1]}", wanted.id)
    if not found:
        raise InputError(
            f"{place} is {wanted.id[:80]!r}, and no response that is kept has such an item. Send "
            "the item itself.",
            param=place,
        )
    return _items([found])[0]


@functools.cache
def _reader() -> TypeAdapter[list[InputItem]]:
    return TypeAdapter(list[InputItem])


def _items(kept: Sequence[Any]) -> list[InputItem]:
    return _reader().validate_python(list(kept))


async def keep(desk: Desk, going: Going, response: dict[str, Any]) -> None:
    """Keeps a response that has ended, where it is to be kept."""
    owner = going.owner
    if owner is None or desk.rooms is None:
        return
    body = going.body
    kept = Kept(
        response["id"],
        body.model,
        body.previous_response_id,
        _told_items(body, response["id"]),
        response,
    )
    await desk.rooms.store.write(lambda tx: responses.keep(tx, owner, kept))


def item_id(prefix: str, response: str, number: int) -> str:
    """The id of an item, from which its response is found."""
    return f"{prefix}_{response.removeprefix('resp_')[:20]}{number:04x}"


def _told_items(body: ResponsesRequest, response: str) -> list[dict[str, Any]]:
    """The request's items as lists tell them: with ids, and their contents as parts."""
    given = body.input
    if isinstance(given, str):
        given = [InputMessage(role="user", content=given, id=None, status=None)]
    return [_told_item(item, response, _OWN_ITEMS + number) for number, item in enumerate(given)]


def _told_item(item: InputItem, response: str, number: int) -> dict[str, Any]:
    told = item.model_dump(mode="json", by_alias=True, exclude_unset=True)
    match item:
        case InputMessage(content=str(text)):
            told["content"] = [{"type": "input_text", "text": text}]
        case SaidMessage(content=str(text)):
            told["content"] = [{"type": "output_text", "text": text}]
        case _:
            pass
    if isinstance(item, SaidMessage):
        told["content"] = [
            {"annotations": [], **part} if part["type"] == "output_text" else part
            for part in told["content"]
        ]
    prefix = {FunctionCallItem: "fc", FunctionCallOutputItem: "fco", ReasoningItem: "rs"}
    own = item_id(prefix.get(type(item), "msg"), response, number)
    return {
        **told,
        "type": item.type,
        "id": told.get("id") or own,
        "status": told.get("status") or "completed",
    }


def kept_router() -> APIRouter:
    """The routes of responses that are kept."""
    router = APIRouter(prefix="/v1/responses")

    @router.get(
        "/{response_id}",
        operation_id="getResponse",
        summary="A response that was kept",
        response_model=ResponseObject,
        responses=_WRONG,
    )
    async def get_response(
        http: HTTPRequest,
        response_id: Id,
        stream: Annotated[bool, Query(description="Only false is taken.")] = False,
    ) -> Response:
        if stream:
            raise UnsupportedError(
                "A response that was kept comes whole. Leave stream out.", param="stream"
            )
        desk, owner = desk_of(http), owner_of(http.scope)
        kept = await rooms_of(desk).store.read(lambda tx: responses.get(tx, owner, response_id))
        return Response(to_bytes(kept.response), media_type="application/json")

    @router.delete(
        "/{response_id}",
        operation_id="deleteResponse",
        summary="Delete a response that was kept, for good",
        description="Those that go on from it cannot be gone on from any more.",
        response_model=ResponseDeleted,
        responses=_WRONG,
    )
    async def delete_response(http: HTTPRequest, response_id: Id) -> ResponseDeleted:
        desk, owner = desk_of(http), owner_of(http.scope)
        await rooms_of(desk).store.write(lambda tx: responses.delete(tx, owner, response_id))
        return ResponseDeleted(id=response_id)

    @router.get(
        "/{response_id}/input_items",
        operation_id="listResponseInputItems",
        summary="The items that a kept response was asked with",
        description="Those of its own request, not of the responses that it goes on from.",
        response_model=ResponseInputItems,
        responses=_WRONG,
    )
    async def list_input_items(
        http: HTTPRequest,
        response_id: Id,
        after: Annotated[str, Query(max_length=responses.LONGEST_ID)] = "",
        limit: Annotated[int, Query(ge=1, le=100)] = 20,
        order: Literal["asc", "desc"] = "desc",
    ) -> Response:
        desk, owner = desk_of(http), owner_of(http.scope)
        kept = await rooms_of(desk).store.read(lambda tx: responses.get(tx, owner, response_id))
        items = list(kept.input) if order == "asc" else list(kept.input)[::-1]
        return Response(to_bytes(_page(items, after, limit)), media_type="application/json")

    return router


def _page(items: Sequence[Any], after: str, limit: int) -> dict[str, Any]:
    places = {item["id"]: place for place, item in enumerate(items)}
    if after and after not in places:
        raise InputError(
            f"after is {after!r}, which is no item of this response. Take the last_id of a page.",
            param="after",
        )
    start = places[after] + 1 if after else 0
    shown = items[start : start + limit]
    return {
        "object": "list",
        "data": list(shown),
        "first_id": shown[0]["id"] if shown else None,
        "last_id": shown[-1]["id"] if shown else None,
        "has_more": start + limit < len(items),
    }
