"""`/studio/api/events`: one stream of news for a page."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel
from starlette.requests import Request as HTTPRequest
from starlette.responses import StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from kataribe.serve import talking
from kataribe.serve.described import failures
from kataribe.serve.desk import Desk, desk_of, rooms_of
from kataribe.serve.intake import ClientGoneError
from kataribe.serve.telling import to_bytes
from kataribe.serve.who import owner_of
from kataribe.store import news
from kataribe.store.attachments import of_messages as files_of
from kataribe.store.queue import files as files_waiting

HEARTBEAT = 10.0
"""Seconds of silence after which a comment says that the stream lives."""

STALLED_SECONDS = 60.0
"""A page that has read nothing for so long has left, whatever its connection says."""

PIECE = 64 * 1024
"""Bytes that are sent at a time: of a long frame no more lies with a connection that stalls."""

_WORDS = (
    "Server-sent events: `joined` (what runs in the conversation, with its words so far), "
    "`message`, `delta`, `progress`, `step`, `consent`, `queue`, `head`, `removed`, `restored` of "
    "that conversation; "
    "`summary`, `gone` and `job` of all that the person owns."
)


def events_router() -> APIRouter:
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
        desk = desk_of(http)
        desk.lifecycle.check()
        stream = _stream(desk, owner_of(http.scope), conversation)
        first = await anext(stream)  # a conversation that is not there is a real 404
        return NewsStream(first, stream)

    return router


class NewsStream(StreamingResponse):
    """The response: frames of news, to a page that has to read them."""

    def __init__(self, first: bytes, frames: AsyncGenerator[bytes, None]) -> None:
        headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
        self._frames = _pieces(first, frames)
        super().__init__(self._frames, media_type="text/event-stream", headers=headers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends the frames until the last, or the page's leaving; then nobody listens any more."""

        async def patiently(message: Message) -> None:
            try:
                async with asyncio.timeout(STALLED_SECONDS):
                    await send(message)
            except TimeoutError:
                raise ClientGoneError from None

        async with aclosing(self._frames):
            await super().__call__(scope, receive, patiently)


async def _pieces(first: bytes, frames: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    async with aclosing(frames):
        for start in range(0, len(first), PIECE):
            yield first[start : start + PIECE]
        del first
        async for frame in frames:
            for start in range(0, len(frame), PIECE):
                yield frame[start : start + PIECE]


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


async def _joined(desk: Desk, joined: news.Joined) -> dict[str, Any]:
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


async def _told(desk: Desk, told: news.Told) -> bytes:
    what, id_ = told.news, told.conversation
    read = rooms_of(desk).store.read
    match what:
        case news.Delta():
            return _frame("delta", dataclasses.asdict(what))
        case news.WaitsNow():
            shown = talking.progress(what.waits)
            return _frame("progress", {"id": what.id, "progress": shown and _plain(shown)})
        case news.StepTold():
            step = _plain(talking.step(what.step))
            return _frame("step", {"id": what.id, "at": what.at, "step": step})
        case news.ConsentTold():
            asked = _plain(talking.consent(what.round))
            return _frame("consent", {"id": what.id, "at": what.at, "round": asked})
        case news.MessageChanged():
            files = await read(lambda tx: files_of(tx, [what.message.id]))
            shown_message = talking.message(what.message, files.get(what.message.id, ()))
            return _frame("message", _plain(shown_message))
        case news.QueueChanged():
            waiting = await read(lambda tx: files_waiting(tx, what.queue))
            items = [_plain(item) for item in talking.queued(what.queue, waiting)]
            return _frame("queue", {"conversation": id_, "queue": items})
        case news.HeadMoved():
            moved = {"conversation": id_, "head": what.head, "version": what.version}
            return _frame("head", moved)
        case news.Removed():
            return _frame("removed", {"conversation": id_, "ids": list(what.ids)})
        case news.Restored():
            return _frame("restored", {"conversation": id_, "ids": list(what.ids)})
        case news.Listed():
            return _frame("summary", _plain(talking.summary(what.conversation)))
        case news.Gone():
            return _frame("gone", {"id": what.id})
        case news.Other():
            return _frame(what.name, _plain(what.value))
        case news.Joined():
            return _frame("joined", await _joined(desk, what))


def _frame(name: str, value: Any) -> bytes:
    return b"event: " + name.encode() + b"\ndata: " + to_bytes(value) + b"\n\n"


def _plain(value: BaseModel) -> dict[str, Any]:
    return value.model_dump(mode="json")
