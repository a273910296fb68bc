"""`/studio/api/recipes`: recipes that are not saved are checked, talked with and tested."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, aclosing
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter
from starlette.requests import Request as HTTPRequest
from starlette.responses import Response, StreamingResponse

from kataribe.base.errors import KataribeError, UnavailableError
from kataribe.base.lm import Context, Request, close_stream
from kataribe.serve.access import log_unexpected
from kataribe.serve.asking import messages_in
from kataribe.serve.assistants import draft_of, source_of
from kataribe.serve.assistants_source import Draft
from kataribe.serve.chat import chunks_of, pace_of
from kataribe.serve.described import ASKING, failures, stream_of, takes
from kataribe.serve.desk import Desk, desk_of
from kataribe.serve.errors import failure
from kataribe.serve.events import HEARTBEAT, NewsStream
from kataribe.serve.exchange import Exchange
from kataribe.serve.intake import read_body
from kataribe.serve.record import Record, record_of
from kataribe.serve.shapes.assistants import (
    CheckRecipe,
    PreviewRecipe,
    RecipeChecked,
    RecipeChoices,
    TestRecipe,
    TestResult,
)
from kataribe.serve.shapes.replies import ChatCompletionChunk
from kataribe.serve.sse import DONE, STILL_HERE, Chunks, EventStream, data
from kataribe.serve.who import owner_of

if TYPE_CHECKING:
    from kataribe.base.lm import LM
    from kataribe.serve.assistants_source import AssistantsSource
    from kataribe.serve.models import ModelInfo, ModelSource, TextTokenizer

_WRONG = failures(400, 403, 413, 415)
_PREVIEW = "The reply, told as by `/v1/chat/completions` with `stream: true`. Nothing is kept."
_TESTED = "Server-sent events, each with a TestResult as soon as it is known, then `[DONE]`."


def recipes_router() -> APIRouter:
    """The routes."""
    router = APIRouter(prefix="/studio/api/recipes", tags=["studio"])

    @router.get(
        "/choices",
        operation_id="getRecipeChoices",
        summary="What a recipe can be made of",
        response_model=RecipeChoices,
        responses=failures(400),
    )
    async def choices(http: HTTPRequest) -> RecipeChoices:
        desk = desk_of(http)
        owner_of(http.scope)
        return await asyncio.to_thread(source_of(desk).choices)

    @router.post(
        "/check",
        operation_id="checkRecipe",
        summary="All that is wrong with a recipe that is not saved; fields become YAML",
        response_model=RecipeChecked,
        responses=_WRONG,
        openapi_extra=takes(CheckRecipe),
    )
    async def check(http: HTTPRequest) -> RecipeChecked:
        desk = desk_of(http)
        owner_of(http.scope)
        body = await read_body(http, CheckRecipe)
        draft = draft_of(http, body.name, body.text)
        return await asyncio.to_thread(source_of(desk).check, draft, body.fields)

    _add_asking(router)
    return router


def _add_asking(router: APIRouter) -> None:
    @router.post(
        "/preview",
        operation_id="previewRecipe",
        summary="Talk with a recipe that is not saved",
        response_class=StreamingResponse,
        responses={**ASKING, 200: stream_of(ChatCompletionChunk, _PREVIEW)},
        openapi_extra=takes(PreviewRecipe),
    )
    async def preview(http: HTTPRequest) -> Response:
        desk = desk_of(http)
        owner = owner_of(http.scope)
        body = await read_body(http, PreviewRecipe)
        draft = draft_of(http, body.name, body.text)
        messages = messages_in(body.messages, continue_last=False)
        # Whoever asks is who may go on with a turn that waits for consent.
        request = Request(messages, context=Context(user=owner))
        one = dataclasses.replace(desk, models=_Unsaved(desk.models, source_of(desk), draft))
        exchange = Exchange(one, body.name, [request], record_of(http.scope))
        exchange.start(http.receive)
        pace = pace_of(desk.settings, http)
        encode = chunks_of(body.name, usage=True, logprobs=False)
        return await EventStream(exchange, Chunks(encode), pace, record_of(http.scope)).open()

    @router.post(
        "/test",
        operation_id="testRecipe",
        summary="Ask what a recipe's tests ask, and look at the replies",
        response_class=StreamingResponse,
        responses={**ASKING, 200: stream_of(TestResult, _TESTED)},
        openapi_extra=takes(TestRecipe),
    )
    async def test(http: HTTPRequest) -> Response:
        desk = desk_of(http)
        owner_of(http.scope)
        body = await read_body(http, TestRecipe)
        desk.lifecycle.check()
        results = source_of(desk).tests(draft_of(http, body.name, body.text))
        frames = _told(desk, results, record_of(http.scope))
        return NewsStream(b": testing\n\n", frames)


class _Unsaved:
    """A `ModelSource` that has one more: the assistant of a recipe that is not saved."""

    def __init__(self, models: ModelSource, source: AssistantsSource, draft: Draft) -> None:
        self._models = models
        self._source = source
        self._draft = draft

    def names(self) -> Sequence[ModelInfo]:
        return self._models.names()

    def lease(self, name: str) -> AbstractAsyncContextManager[LM]:
        del name  # whatever is asked for here is the draft
        return self._source.lend(self._draft)

    def tokenizer(self, name: str) -> AbstractAsyncContextManager[TextTokenizer]:
        return self._models.tokenizer(name)


async def _told(
    desk: Desk, results: AsyncIterator[TestResult], record: Record
) -> AsyncGenerator[bytes, None]:
    """The results as events; what fails is the last of them, as in a reply's stream."""
    try:
        async with aclosing(_until_halted(desk, results)) as found:
            async for one in found:
                yield STILL_HERE if one is None else data(one.model_dump(mode="json"))
        yield DONE
    except KataribeError as error:
        record.error = error.code
        yield data(failure(error).body())
    except Exception as error:  # noqa: BLE001  the edge: logged with a number, told without insides
        record.error = "internal_error"
        yield data(log_unexpected(error, record).body())


async def _until_halted(
    desk: Desk, results: AsyncIterator[TestResult]
) -> AsyncGenerator[TestResult | None, None]:
    """Each result, and None now and then while the next one takes its time."""
    halting: asyncio.Future[Any] = asyncio.ensure_future(desk.lifecycle.halted())
    coming: asyncio.Future[Any] | None = None
    try:
        while True:
            coming = coming or asyncio.ensure_future(anext(results))
            await asyncio.wait(
                [coming, halting], timeout=HEARTBEAT, return_when=asyncio.FIRST_COMPLETED
            )
            if coming.done():
                try:
                    yield coming.result()
                except StopAsyncIteration:
                    return
                coming = None
            elif halting.done():
                raise UnavailableError(
                    "The server stopped before the tests ended. Run them when it is back.",
                    retry_after=10,
                )
            else:
                yield None
    finally:
        running = [halting] if coming is None else [halting, coming]
        for task in running:
            task.cancel()
        await asyncio.wait(running)
        await close_stream(results)
