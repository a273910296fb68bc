"""`/studio/api/events`: one stream of news for a page."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel
from starlette.requests import Request as HTTPRequest
from starlette.responses import StreamingResponse

from kataribe.serve import talking
from kataribe.serve.described import failures
from kataribe.serve.desk import Desk, rooms_of
from kataribe.serve.telling import to_bytes
from kataribe.serve.who import owner_of
from kataribe.use.chats import values
from kataribe.use.chats.files import files_of, files_waiting

HEARTBEAT = 10.0
"""Seconds of silence after which a comment says that the stream lives."""

_WORDS = (
    "Server-sent events: `joined` (what runs in the conversation, with its words so far), "
    "`message`, `delta`, `progress`, `queue`, `head`, `removed`, `restored` of that conversation; "
    "`summary`, `gone` and `job` of all that the person owns."
)


def events_router(desk: Desk) -> APIRouter:
    """The route."""
    router = APIRouter(prefix="/studio/api", tags=["studio"])

    @router.get(
        "/events",
        operation_id="listen",
        summary="News as they happen",
        response_class=StreamingResponse,
        responses={
            **failures(400, 404, 503),
            200: {"description": _WORDS, "content": {"text/event-stream": {}}},
        },
    )
    async def listen(
        http: HTTPRequest,
        conversation: Annotated[str | None, Query(max_length=32)] = None,
    ) -> StreamingResponse:
        desk.lifecycle.check()
        stream = _stream(desk, owner_of(http.scope), conversation)
        first = await anext(stream)  # a conversation that is not there is a real 404
        return StreamingResponse(
            _after(first, stream),
            media_type="text/event-stream",
            headers={"cache-control": "no-store", "x-accel-buffering": "no"},
        )

    return router


async def _after(first: bytes, stream: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    async with aclosing(stream) as frames:
        yield first
        async for frame in frames:
            yield frame


async def _stream(desk: Desk, owner: str, conversation: str | None) -> AsyncGenerator[bytes, None]:
    chats = rooms_of(desk).chats
    async with chats.listening(owner, conversation) as (listener, joined):
        if joined is None:
            yield b": listening\n\n"
        else:
            yield _frame("joined", await _joined(desk, joined))
        while True:
            try:
                told = await listener.next(HEARTBEAT)
            except TimeoutError:
                yield b": still here\n\n"
                continue
            if told is None:
                return
            yield await _told(desk, told)


async def _joined(desk: Desk, joined: values.Joined) -> dict[str, Any]:
    live = [message.id for message in joined.live]
    files = await rooms_of(desk).store.read(
        lambda tx: {**files_of(tx, live), **files_waiting(tx, joined.queue)}
    )
    return {
        "conversation": joined.conversation.id,
        "version": joined.conversation.version,
        "head": joined.conversation.head,
        "queue": [_plain(item) for item in talking.queued(joined.queue, files)],
        "live": [
            _plain(talking.message(each, files.get(each.id, ()), joined.waits.get(each.id)))
            for each in joined.live
        ],
    }


async def _told(desk: Desk, told: values.Told) -> bytes:
    news, id_ = told.news, told.conversation
    read = rooms_of(desk).store.read
    match news:
        case values.Delta():
            value = {"id": news.id, "kind": news.kind, "at": news.at, "text": news.text}
            return _frame("delta", value)
        case values.WaitsNow():
            shown = talking.progress(news.waits)
            return _frame("progress", {"id": news.id, "progress": shown and _plain(shown)})
        case values.MessageChanged():
            files = await read(lambda tx: files_of(tx, [news.message.id]))
            shown_message = talking.message(news.message, files.get(news.message.id, ()))
            return _frame("message", _plain(shown_message))
        case values.QueueChanged():
            waiting = await read(lambda tx: files_waiting(tx, news.queue))
            items = [_plain(item) for item in talking.queued(news.queue, waiting)]
            return _frame("queue", {"conversation": id_, "queue": items})
        case values.HeadMoved():
            moved = {"conversation": id_, "head": news.head, "version": news.version}
            return _frame("head", moved)
        case values.Removed():
            return _frame("removed", {"conversation": id_, "ids": list(news.ids)})
        case values.Restored():
            return _frame("restored", {"conversation": id_, "ids": list(news.ids)})
        case values.Listed():
            return _frame("summary", _plain(talking.summary(news.conversation)))
        case values.Gone():
            return _frame("gone", {"id": news.id})
        case values.Other():
            return _frame(news.name, _plain(news.value))
        case values.Joined():
            return _frame("joined", await _joined(desk, news))


def _frame(name: str, value: Any) -> bytes:
    return b"event: " + name.encode() + b"\ndata: " + to_bytes(value) + b"\n\n"


def _plain(value: BaseModel) -> dict[str, Any]:
    return value.model_dump(mode="json")
