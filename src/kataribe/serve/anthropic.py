"""`/v1/messages` and `/v1/messages/count_tokens`, as Anthropic's clients call them."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request as HTTPRequest
from starlette.responses import Response

from kataribe.base.aside import aside
from kataribe.base.errors import KataribeError, UnsupportedError
from kataribe.serve.anthropic_asking import Talk, anthropic_request, talk_of
from kataribe.serve.anthropic_telling import MessageStream, Reply
from kataribe.serve.chat import pace_of
from kataribe.serve.described import asks, failures, stream_of, takes
from kataribe.serve.desk import desk_of
from kataribe.serve.errors import renamed
from kataribe.serve.exchange import Exchange
from kataribe.serve.intake import read_body
from kataribe.serve.limits import within
from kataribe.serve.models import TextTokenizer
from kataribe.serve.record import record_of
from kataribe.serve.service import find_model
from kataribe.serve.shapes.anthropic import (
    UNSUPPORTED,
    AnthropicCountRequest,
    AnthropicRequest,
)
from kataribe.serve.shapes.anthropic_replies import (
    AnthropicCount,
    AnthropicErrorResponse,
    AnthropicMessage,
    AnthropicStreamEvent,
)
from kataribe.serve.sse import EventStream
from kataribe.serve.telling import to_bytes

_STREAMED = (
    "The reply; with `stream: true` server-sent events, each an AnthropicStreamEvent under the "
    "name of its `type`, from `message_start` to `message_stop`, or to an `error`. Progress is "
    "told as by /v1/chat/completions."
)
_ABOUT = (
    "In the shapes of Anthropic's Messages API, errors too. The key may come as `x-api-key`. The "
    "headers `anthropic-version` and `anthropic-beta` are taken and change nothing: fields of a "
    "beta that are not described here are refused by name."
)
_COUNTING = failures(400, 403, 404, 413, 415, 429, 503, shape=AnthropicErrorResponse)
_ASKING = failures(400, 403, 404, 413, 415, 429, 502, 503, shape=AnthropicErrorResponse)


def anthropic_router() -> APIRouter:
    """The routes."""
    router = APIRouter(tags=["messages in Anthropic's shapes"])

    @router.post(
        "/v1/messages",
        operation_id="createAnthropicMessage",
        summary="Continue a conversation, in Anthropic's shapes",
        description=_ABOUT,
        response_model=AnthropicMessage,
        responses={200: stream_of(AnthropicStreamEvent, _STREAMED), **_ASKING},
        openapi_extra=asks(AnthropicRequest),
    )
    async def create_anthropic_message(http: HTTPRequest) -> Response:
        desk = desk_of(http)
        body = await read_body(http, AnthropicRequest, unsupported=UNSUPPORTED)
        talk = talk_of(body)
        pace = pace_of(desk.settings, http)
        record = record_of(http.scope)
        requests = await within(desk, http, [anthropic_request(body, talk)])
        exchange = Exchange(desk, body.model, requests, record, talk.fields)
        exchange.start(http.receive)
        reply = Reply(body.model)
        if body.stream:
            return await EventStream(exchange, MessageStream(reply, record.id), pace, record).open()
        async with exchange:
            while (told := await exchange.next()) is not None:
                reply.parts.read(told.event)
        return Response(to_bytes(reply.whole()), media_type="application/json")

    @router.post(
        "/v1/messages/count_tokens",
        operation_id="countAnthropicTokens",
        summary="Count the tokens of a conversation, in Anthropic's shapes",
        description="Exactly those that /v1/messages would read. No model is loaded. Assistants "
        "ask their models with more than they are asked, so there is no count for them.",
        response_model=AnthropicCount,
        responses=_COUNTING,
        openapi_extra=takes(AnthropicCountRequest),
    )
    async def count_anthropic_tokens(http: HTTPRequest) -> AnthropicCount:
        desk = desk_of(http)
        body = await read_body(http, AnthropicCountRequest, unsupported=UNSUPPORTED)
        talk = talk_of(body)
        if find_model(desk, body.model).is_assistant:
            raise UnsupportedError(
                f"{body.model} is an assistant: what it asks its model with has words, tools and "
                "facts of its own, and may be several prompts, so there is no one count. Count for "
                "the model that it asks.",
                param="model",
            )
        size = len(await http.body())
        async with desk.models.tokenizer(body.model) as tokenizer:
            # Other replies go on meanwhile, also while a million tokens are counted.
            return AnthropicCount(input_tokens=await aside(size, _count, talk, tokenizer))

    return router


def _count(talk: Talk, tokenizer: TextTokenizer) -> int:
    try:
        ids = tokenizer.chat_ids(
            talk.messages,
            tools=talk.tools if talk.choice.mode != "none" else (),
            continue_last=talk.begun,
            variables=tokenizer.thinking(talk.thinking),
        )
    except KataribeError as error:
        raise renamed(error, talk.fields) from None
    return len(ids)
