"""`/studio/api/prompts/run`: a model asked with a prompt, streamed as it happens.

A page runs several of these side by side, each a request of its own. Browsers keep at most six
connections to a server of HTTP/1.1, the stream of news among them.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter
from starlette.requests import Request as HTTPRequest
from starlette.responses import Response

from kataribe.base.errors import InputError
from kataribe.base.events import Event, Finished, Progress, ReasoningDelta, Step, TextDelta
from kataribe.base.lm import Context, Request, Sampling
from kataribe.base.messages import text_message, text_of
from kataribe.serve.described import ASKING, stream_of, takes
from kataribe.serve.desk import desk_of
from kataribe.serve.errors import Failure
from kataribe.serve.exchange import Exchange, Manner, Told
from kataribe.serve.intake import read_body
from kataribe.serve.prompting_source import AskedWith
from kataribe.serve.prompts import prompts_router, source_of
from kataribe.serve.record import record_of
from kataribe.serve.shapes import prompts as shapes
from kataribe.serve.sse import STILL_HERE, EventStream, Pace, named
from kataribe.serve.tokens import model_of
from kataribe.serve.who import owner_of
from kataribe.store.prompt_answers import Answer

if TYPE_CHECKING:
    from kataribe.base.lm import LM
    from kataribe.serve.prompting_source import PromptingSource
    from kataribe.use.prompts.library import Shown

_STREAMED = (
    "Server-sent events named by `type`, each with a RunEvent: `progress`, `step`, `reasoning`, "
    "`delta`, an `answer` for each repeat, then `end`; or `error`, after the first words."
)


def prompting_router() -> APIRouter:
    """The route, and those of prompts that are kept."""
    router = prompts_router()

    @router.post(
        "/prompts/run",
        operation_id="runPrompt",
        summary="Ask a model with a prompt",
        response_class=Response,
        responses={200: stream_of(shapes.RunEvent, _STREAMED), **ASKING},
        openapi_extra=takes(shapes.RunPrompt),
    )
    async def run(http: HTTPRequest) -> Response:
        desk = desk_of(http)
        owner = owner_of(http.scope)
        body = await read_body(http, shapes.RunPrompt)
        source = source_of(desk)
        way = _way(body)
        source.check(way)
        shown = await _prompt(source, owner, body)
        model = model_of(desk, body.model)
        run = _Run(source, owner, shown, body, model)
        exchange = Exchange(
            desk,
            model,
            [_request(source, body, shown, owner)],
            record_of(http.scope),
            manner=Manner(around=around_of(source, way), heard=run.hear),
        )
        exchange.start(http.receive)
        pace = Pace(desk.settings.header_patience, desk.settings.heartbeat, progress=False)
        return await EventStream(exchange, run, pace, record_of(http.scope)).open()

    return router


def around_of(
    source: PromptingSource, way: AskedWith
) -> Callable[[LM], AbstractAsyncContextManager[LM]]:
    """What an exchange puts around its model."""
    return lambda lm: source.around(lm, way)


def _way(body: shapes.RunPrompt) -> AskedWith:
    if body.technique is None:
        return AskedWith(tools=body.tools)
    return AskedWith(body.technique.name, body.technique.options, body.tools)


async def _prompt(source: PromptingSource, owner: str, body: shapes.RunPrompt) -> Shown | None:
    if (body.prompt is None) == (body.text is None):
        raise InputError(
            "A run needs either the id of a prompt or a text, and not both.", param="prompt"
        )
    if body.prompt is None:
        if body.version is not None:
            raise InputError("A text has no versions. Leave version out.", param="version")
        return None
    return await asyncio.to_thread(source.library.get, owner, body.prompt, body.version)


def _request(
    source: PromptingSource, body: shapes.RunPrompt, shown: Shown | None, owner: str
) -> Request:
    text = shown.version.text if shown is not None else body.text or ""
    messages = [text_message("user", source.render(text, body.variables))]
    if body.system.strip():
        messages.insert(0, text_message("system", body.system))
    given = {} if body.sampling is None else body.sampling.model_dump(exclude_none=True)
    seed = given.pop("seed", None)
    return Request(
        tuple(messages),
        Sampling(**given),
        seed=seed,
        n=body.repeats,
        context=Context(user=owner),
    )


class _Run:
    """Tells a run as it happens, and keeps its answers before they are told."""

    def __init__(
        self,
        source: PromptingSource,
        owner: str,
        shown: Shown | None,
        body: shapes.RunPrompt,
        model: str,
    ) -> None:
        self._source = source
        self._owner = owner
        self._shown = shown
        self._body = body
        self._model = model
        self._began = time.perf_counter()
        self._kept: dict[int, Answer] = {}
        self._dollars: dict[int, float | None] = {}

    async def hear(self, event: Event) -> None:
        """Keeps an answer, where it answers a kept prompt."""
        if not isinstance(event, Finished):
            return
        used, chosen = event.usage, self._body.technique
        answer = Answer(
            self._model,
            text_of(event.message),
            event.reason,
            event.detail,
            self._body.variables,
            None if chosen is None else {"name": chosen.name, "options": chosen.options},
            used.prompt_tokens,
            used.cached_tokens,
            used.completion_tokens,
            time.perf_counter() - self._began,
        )
        if self._shown is not None:
            keep = self._source.library.keep_answer
            number, prompt = self._shown.version.number, self._shown.prompt.id
            answer = await asyncio.to_thread(partial(keep, self._owner, prompt, number, answer))
        self._kept[event.index] = answer
        self._dollars[event.index] = self._source.price(self._model, used)

    def tell(self, told: Told | None) -> bytes:
        """The frame of an event."""
        if told is None:
            return _frame("end")
        match told.event:
            case Progress(stage, done, total, index):
                return _frame("progress", index=index, stage=stage, done=done, total=total)
            case Step() as step:
                return _frame(
                    "step",
                    index=step.index,
                    name=step.name,
                    detail=step.detail,
                    content=step.content,
                    call=step.call,
                    tokens=step.tokens,
                )
            case ReasoningDelta(text, index):
                return _frame("reasoning", index=index, text=text)
            case TextDelta(text, index):
                return _frame("delta", index=index, text=text)
            case Finished() as end:
                return self._answer(self._kept[end.index], end.index)
            case _:
                return b""

    def failed(self, why: Failure) -> bytes:
        """The last frame of a run that breaks off."""
        return _frame("error", **why.body())

    def quiet(self) -> bytes:
        """A comment."""
        return STILL_HERE

    def _answer(self, answer: Answer, index: int) -> bytes:
        usage = {
            "prompt": answer.prompt_tokens,
            "cached": answer.cached_tokens,
            "completion": answer.completion_tokens,
        }
        return _frame(
            "answer",
            index=index,
            text=answer.text,
            finish=answer.finish,
            detail=answer.detail,
            usage=usage,
            took=answer.took,
            dollars=self._dollars[index],
            answer=answer.id or None,
        )


def _frame(kind: str, **fields: Any) -> bytes:
    return named({"type": kind, **fields})
