"""`/studio/api/attachments`: files beside messages."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from starlette.requests import ClientDisconnect
from starlette.requests import Request as HTTPRequest
from starlette.responses import Response

from kataribe.serve.described import failures
from kataribe.serve.desk import desk_of, rooms_of
from kataribe.serve.errors import RefusedError
from kataribe.serve.files import saved_as
from kataribe.serve.intake import ClientGoneError
from kataribe.serve.shapes.conversations import Attached
from kataribe.serve.who import owner_of
from kataribe.store import attachments
from kataribe.store.attachments import KINDS, MOST_IMAGE

Name = Annotated[str, Query(min_length=1, max_length=1024, description="The file's name.")]
Id = Annotated[str, Path(max_length=32, description="Id of the attachment.")]

_BYTES: dict[str, Any] = {"schema": {"type": "string", "format": "binary"}}


def attachments_router() -> APIRouter:
    """The routes."""
    router = APIRouter(prefix="/studio/api/attachments", tags=["studio"])

    @router.post(
        "",
        operation_id="attachFile",
        summary="Keep a file, to be sent with a message",
        response_model=Attached,
        responses=failures(400, 403, 408, 413, 503),
        openapi_extra={"requestBody": {"required": True, "content": {"*/*": _BYTES}}},
    )
    async def attach(http: HTTPRequest, name: Name) -> Attached:
        desk = desk_of(http)
        owner, claimed = owner_of(http.scope), http.headers.get("content-type", "")
        data = await _bytes_of(http, name)
        kept = await rooms_of(desk).store.write(
            partial(attachments.keep, owner=owner, name=name, data=data, claimed=claimed)
        )
        return Attached(id=kept.id, name=kept.name, media_type=kept.media_type, size=kept.size)

    @router.get(
        "/{attachment}",
        operation_id="getAttachment",
        summary="A file's bytes",
        response_class=Response,
        responses={**failures(400, 404), 200: {"content": {"*/*": _BYTES}}},
    )
    async def get(http: HTTPRequest, attachment: Id) -> Response:
        desk = desk_of(http)
        owner, store = owner_of(http.scope), rooms_of(desk).store
        found = await store.read(partial(attachments.get, owner=owner, id_=attachment))
        data = await store.read(partial(attachments.data_of, owner=owner, id_=attachment))
        # What is shown must be an image; every text is only text, whatever it was said to be.
        image = found.media_type.startswith("image/")
        media_type = found.media_type if image else "text/plain; charset=utf-8"
        headers = {**saved_as(found.name), "Content-Type": media_type}
        return Response(data, headers=headers)

    @router.delete(
        "/{attachment}",
        operation_id="deleteAttachment",
        summary="Delete a file that was not sent",
        status_code=204,
        responses=failures(400, 403, 404, 503),
    )
    async def delete(http: HTTPRequest, attachment: Id) -> Response:
        desk = desk_of(http)
        owner = owner_of(http.scope)
        await rooms_of(desk).store.write(partial(attachments.delete, owner=owner, id_=attachment))
        return Response(status_code=204)

    return router


async def _bytes_of(http: HTTPRequest, name: str) -> bytes:
    """The body, as long as an attachment may be."""
    parts: list[bytes] = []
    size = 0
    told = http.headers.get("content-length", "0")
    if told.isdecimal() and int(told[:20]) > MOST_IMAGE:
        raise _too_big(name, f"{int(told[:20]):,}")
    try:
        async for part in http.stream():
            parts.append(part)
            size += len(part)
            if size > MOST_IMAGE:
                raise _too_big(name, f"more than {MOST_IMAGE:,}")
    except ClientDisconnect:
        raise ClientGoneError from None
    return b"".join(parts)


def _too_big(name: str, size: str) -> RefusedError:
    return RefusedError(
        413,
        f"{attachments.clean_name(name)} has {size} bytes, but at most {MOST_IMAGE:,} are kept. "
        f"{KINDS} Make it smaller, or attach a part of it.",
        code="file_too_big",
    )
