"""`/v1/responses`: OpenAI's newer call; `responses_kept` has what is kept between two of them."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request as HTTPRequest
from starlette.responses import Response

from kataribe.serve.chat import pace_of
from kataribe.serve.described import ASKING, asks, failures, stream_of
from kataribe.serve.desk import desk_of
from kataribe.serve.exchange import Exchange
from kataribe.serve.intake import read_body
from kataribe.serve.limits import within
from kataribe.serve.record import record_of
from kataribe.serve.responses_asking import responses_request
from kataribe.serve.responses_kept import going_on, keep, kept_router
from kataribe.serve.responses_telling import Answer, ResponseStream
from kataribe.serve.shapes.responses import UNSUPPORTED, ResponsesRequest
from kataribe.serve.shapes.responses_replies import ResponseObject, ResponseStreamEvent
from kataribe.serve.sse import EventStream
from kataribe.serve.telling import to_bytes

_STREAMED = (
    "The response; with `stream: true` server-sent events, each a ResponseStreamEvent under the "
    "name of its `type`, from `response.created` to `response.completed`, `response.incomplete` "
    "or `response.failed`. Progress is told as by /v1/chat/completions."
)


def responses_router() -> APIRouter:
    """The route."""
    router = APIRouter(tags=["responses"])

    @router.post(
        "/v1/responses",
        operation_id="createResponse",
        summary="Answer text or items",
        response_model=ResponseObject,
        responses={200: stream_of(ResponseStreamEvent, _STREAMED), **ASKING, **failures(507)},
        openapi_extra=asks(ResponsesRequest),
    )
    async def create_response(http: HTTPRequest) -> Response:
        desk = desk_of(http)
        body = await read_body(http, ResponsesRequest, unsupported=UNSUPPORTED)
        going = await going_on(desk, http, body)
        asked = responses_request(going.body, going.before)
        pace = pace_of(desk.settings, http)
        record = record_of(http.scope)
        requests = await within(desk, http, [asked.request])
        exchange = Exchange(desk, body.model, requests, record, asked.fields)
        exchange.start(http.receive)
        answer = Answer(body, kept=going.owner is not None)

        async def kept() -> None:
            await keep(desk, going, answer.whole())

        if body.stream:
            teller = ResponseStream(answer)
            return await EventStream(exchange, teller, pace, record, at_end=kept).open()
        async with exchange:
            while (told := await exchange.next()) is not None:
                answer.parts.read(told.event)
        await kept()
        return Response(to_bytes(answer.whole()), media_type="application/json")

    router.include_router(kept_router())
    return router
