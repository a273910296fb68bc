"""`/v1/chat/completions`."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request as HTTPRequest
from starlette.responses import Response

from kataribe.base.errors import InputError
from kataribe.base.events import Citation, Finished, Progress, Step, Usage
from kataribe.serve.asking import chat_request
from kataribe.serve.described import ASKING, asks, stream_of
from kataribe.serve.desk import Desk, desk_of
from kataribe.serve.exchange import Exchange, Manner, Told
from kataribe.serve.intake import read_body
from kataribe.serve.limits import within
from kataribe.serve.prompt_runs import around_of
from kataribe.serve.prompting_source import AskedWith
from kataribe.serve.prompts import source_of
from kataribe.serve.reasoning_details import Details
from kataribe.serve.record import record_of
from kataribe.serve.settings import ServerSettings
from kataribe.serve.shapes.chat import UNSUPPORTED, ChatCompletionRequest, TechniqueChoice
from kataribe.serve.shapes.replies import ChatCompletion, ChatCompletionChunk
from kataribe.serve.sse import Chunks, EventStream, Pace
from kataribe.serve.telling import (
    added,
    chat_completion,
    chunk_of,
    details_chunk,
    first_chunk,
    lean,
    usage_chunk,
)

_STREAMED = (
    "The reply; with `stream: true` server-sent events, each with a ChatCompletionChunk, then "
    "`[DONE]`. Comments (`: queued 3`, `: reading 120/4000`) tell of progress; with the header "
    "`X-Kataribe-Events: progress` it comes as events `kataribe.progress` and `kataribe.step`. "
    "An error after the first words is a last event with an `error` object."
)


def chat_router() -> APIRouter:
    """The route."""
    router = APIRouter(tags=["chat"])

    @router.post(
        "/v1/chat/completions",
        operation_id="createChatCompletion",
        summary="Continue a conversation",
        response_model=ChatCompletion,
        responses={200: stream_of(ChatCompletionChunk, _STREAMED), **ASKING},
        openapi_extra=asks(ChatCompletionRequest),
    )
    async def create_chat_completion(http: HTTPRequest) -> Response:
        desk = desk_of(http)
        body = await read_body(http, ChatCompletionRequest, unsupported=UNSUPPORTED)
        request = chat_request(body)
        pace = pace_of(desk.settings, http)
        manner = _manner(desk, body)
        requests = await within(desk, http, [request])
        exchange = Exchange(desk, body.model, requests, record_of(http.scope), manner=manner)
        exchange.start(http.receive)
        if body.stream:
            return await _streamed(http, body, exchange, pace)
        return await _whole(body, exchange)

    return router


def _manner(desk: Desk, body: ChatCompletionRequest) -> Manner:
    """With a technique around the model, where one is asked for; raises what is wrong with it."""
    chosen = body.technique
    if chosen is None:
        return Manner()
    if (body.n or 1) > 1:
        raise InputError(
            f"n is {body.n}, but a technique gives one reply at a time. Leave out n, and ask "
            "again for another reply.",
            param="n",
        )
    if isinstance(chosen, str):
        chosen = TechniqueChoice(name=chosen)
    source, way = source_of(desk), AskedWith(chosen.name, chosen.options)
    source.check(way)
    return Manner(around=around_of(source, way))


def new_head(prefix: str, model: str) -> dict[str, Any]:
    """What every answer begins with."""
    return {
        "id": f"{prefix}-{secrets.token_hex(12)}",
        "created": int(time.time()),
        "model": model,
    }


def pace_of(settings: ServerSettings, http: HTTPRequest) -> Pace:
    """How silent a stream may be, and whether its client wants events of progress."""
    wanted = http.headers.get("x-kataribe-events")
    if wanted not in (None, "progress"):
        raise InputError(
            f"The header X-Kataribe-Events is {wanted[:100]!r}, but knows only 'progress'.",
            param="X-Kataribe-Events",
        )
    return Pace(settings.header_patience, settings.heartbeat, wanted is not None)


async def _whole(body: ChatCompletionRequest, exchange: Exchange) -> Response:
    finished: dict[int, Finished] = {}
    citations: dict[int, list[Citation]] = {}
    async with exchange:
        while (told := await exchange.next()) is not None:
            if isinstance(told.event, Finished):
                finished[told.event.index] = told.event
            elif isinstance(told.event, Citation):
                citations.setdefault(told.event.index, []).append(told.event)
    choices = [finished[index] for index in sorted(finished)]
    head = new_head("chatcmpl", body.model)
    answer = chat_completion(head, choices, citations, logprobs=bool(body.logprobs))
    return Response(lean(answer), media_type="application/json")


async def _streamed(
    http: HTTPRequest, body: ChatCompletionRequest, exchange: Exchange, pace: Pace
) -> Response:
    usage = body.stream_options is not None and bool(body.stream_options.include_usage)
    encode = chunks_of(body.model, usage=usage, logprobs=bool(body.logprobs))
    return await EventStream(exchange, Chunks(encode), pace, record_of(http.scope)).open()


def chunks_of(
    model: str, *, usage: bool, logprobs: bool
) -> Callable[[Told | None], list[dict[str, Any]]]:
    """What makes chunks of an exchange's events."""
    head = {**new_head("chatcmpl", model), "object": "chat.completion.chunk"}
    if usage:
        head["usage"] = None  # OpenAI's chunks have the field, null until the last
    opened: set[int] = set()
    used: dict[int, Usage] = {}
    seals: dict[int, Details] = {}

    def encode(told: Told | None) -> list[dict[str, Any]]:
        if told is None:
            firsts = [used[index] for index in sorted(used)][:1]
            return [usage_chunk(head, added(firsts, used.values()))] if usage else []
        event = told.event
        if isinstance(event, Progress | Step):
            return []
        chunks = []
        if event.index not in opened:
            opened.add(event.index)
            chunks.append(first_chunk(head, event.index))
        if isinstance(event, Finished):
            used[event.index] = event.usage
        details = seals.setdefault(event.index, Details()).read(event)
        if details:
            chunks.append(details_chunk(head, event.index, details))
        chunk = chunk_of(head, event, logprobs=logprobs)
        return [*chunks, chunk] if chunk is not None else chunks

    return encode
