"""`/v1/completions`: bare prompts, also for evaluation harnesses that score them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request as HTTPRequest
from starlette.responses import Response

from kataribe.base.events import Finished, Progress, Step, Usage
from kataribe.base.lm import Request
from kataribe.serve.chat import new_head, pace_of
from kataribe.serve.described import ASKING, asks, stream_of
from kataribe.serve.desk import desk_of
from kataribe.serve.exchange import Exchange, Told
from kataribe.serve.intake import read_body
from kataribe.serve.limits import within
from kataribe.serve.record import record_of
from kataribe.serve.shapes.text import UNSUPPORTED, Completion, CompletionRequest
from kataribe.serve.sse import Chunks, EventStream
from kataribe.serve.telling import added, lean, usage_chunk
from kataribe.serve.writing import PieceWriter, completion, completion_requests

_STREAMED = (
    "The continuations; with `stream: true` server-sent events, each with a Completion of what "
    "is new, then `[DONE]`."
)


def completions_router() -> APIRouter:
    """The route."""
    router = APIRouter(tags=["completions"])

    @router.post(
        "/v1/completions",
        operation_id="createCompletion",
        summary="Continue bare prompts",
        response_model=Completion,
        responses={200: stream_of(Completion, _STREAMED), **ASKING},
        openapi_extra=asks(CompletionRequest),
    )
    async def create_completion(http: HTTPRequest) -> Response:
        desk = desk_of(http)
        body = await read_body(http, CompletionRequest, unsupported=UNSUPPORTED)
        requests = completion_requests(body, desk.settings.max_prompts)
        requests = await within(desk, http, requests)
        pace = pace_of(desk.settings, http)
        exchange = Exchange(desk, body.model, requests, record_of(http.scope))
        exchange.start(http.receive)
        if body.stream:
            usage = body.stream_options is not None and bool(body.stream_options.include_usage)
            chunks = Chunks(_encoder(body, requests, usage=usage))
            return await EventStream(exchange, chunks, pace, record_of(http.scope)).open()
        async with exchange:
            prompts = await exchange.finished()
        head = new_head("cmpl", body.model)
        answer = completion(head, prompts, logprobs=body.logprobs is not None)
        return Response(lean(answer), media_type="application/json")

    return router


def _encoder(
    body: CompletionRequest, requests: Sequence[Request], *, usage: bool
) -> Callable[[Told | None], list[dict[str, Any]]]:
    head = {**new_head("cmpl", body.model), "object": "text_completion"}
    if usage:
        head["usage"] = None
    writers: dict[int, PieceWriter] = {}
    used: dict[tuple[int, int], Usage] = {}

    def encode(told: Told | None) -> list[dict[str, Any]]:
        if told is None:
            firsts = {prompt: used[prompt, index] for prompt, index in sorted(used, reverse=True)}
            return [usage_chunk(head, added(firsts.values(), used.values()))] if usage else []
        event = told.event
        if isinstance(event, Progress | Step):
            return []
        place = told.prompt * requests[0].n + event.index
        if place not in writers:
            writers[place] = PieceWriter(place, logprobs=body.logprobs is not None)
        if isinstance(event, Finished):
            used[told.prompt, event.index] = event.usage
        choice = writers[place].write(event)
        return [] if choice is None else [{**head, "choices": [choice]}]

    return encode
