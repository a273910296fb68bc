"""`/studio/api/conversations/{talk}/messages/{message}/inside`: a reply, token by token."""

from __future__ import annotations

import asyncio
import weakref
from collections import OrderedDict
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from fastapi import APIRouter, Path, Query
from starlette.requests import Request as HTTPRequest

from kataribe.base.errors import InputError, UnsupportedError
from kataribe.base.inside import (
    AttentionShape,
    Inspectable,
    Inspector,
    Laid,
    TokenInside,
)
from kataribe.base.lm import Sampling
from kataribe.serve.described import failures, takes
from kataribe.serve.desk import Desk, desk_of, rooms_of
from kataribe.serve.intake import ClientGoneError, read_body
from kataribe.serve.shapes import inside as shapes
from kataribe.serve.who import owner_of

if TYPE_CHECKING:
    from kataribe.use.chats.given import Given

T = TypeVar("T")

MOST = 1024
"""Tokens of one answer; more come with `start`."""

WEIGHED = 20
"""Likeliest tokens that a slider shows."""

REMEMBERED = 16
"""Replies whose tokens are remembered, so that a slider need not cut them anew."""

_NOTHING = AttentionShape(0, 0, 0, 0, 0)
_WRONG = failures(400, 403, 404, 413, 415, 429, 502, 503)
_Talk = Annotated[str, Path(max_length=32, description="Id of the conversation.")]
_Message = Annotated[str, Path(max_length=32, description="Id of the reply.")]


def inside_router() -> APIRouter:
    """The routes."""
    router = APIRouter(
        prefix="/studio/api/conversations/{talk}/messages/{message}/inside", tags=["studio"]
    )

    @router.get(
        "",
        operation_id="lookInside",
        summary="Show a reply token by token, and what its model was given",
        response_model=shapes.Inside,
        responses=_WRONG,
    )
    async def look(
        http: HTTPRequest,
        talk: _Talk,
        message: _Message,
        start: Annotated[int, Query(ge=0, le=2**31 - 1)] = 0,
        limit: Annotated[int, Query(ge=1, le=MOST)] = 512,
    ) -> shapes.Inside:
        looking = _looking_of(http)
        given = await looking.given(http, talk, message)
        return await _while_there(http, looking.look(given, start, limit))

    @router.post(
        "/weigh",
        operation_id="weighInside",
        summary="What sampling makes of the distribution at a token",
        response_model=shapes.WeighedList,
        responses=_WRONG,
        openapi_extra=takes(shapes.Weigh),
    )
    async def weigh(http: HTTPRequest, talk: _Talk, message: _Message) -> shapes.WeighedList:
        looking = _looking_of(http)
        body = await read_body(http, shapes.Weigh)
        given = await looking.given(http, talk, message)
        return await _while_there(http, looking.weigh(given, body))

    @router.post(
        "/attend",
        operation_id="attendInside",
        summary="How much a token looks at those before it, in one layer and head",
        response_model=shapes.Attention,
        responses=_WRONG,
        openapi_extra=takes(shapes.Attend),
    )
    async def attend(http: HTTPRequest, talk: _Talk, message: _Message) -> shapes.Attention:
        looking = _looking_of(http)
        body = await read_body(http, shapes.Attend)
        given = await looking.given(http, talk, message)
        return await looking.attend(given, body)

    return router


def _looking_of(http: HTTPRequest) -> _Looking:
    """What the app that a request came to remembers of replies."""
    state = http.app.state
    if not hasattr(state, "looking"):
        state.looking = _Looking(desk_of(http))
    looking: _Looking = state.looking
    return looking


@dataclass(frozen=True, slots=True)
class _Known:
    """A reply's tokens as one loaded model cut them; the model is not kept in memory for it."""

    given: Given
    inspector: weakref.ref[Inspector]
    laid: Laid


class _Looking:
    """What the routes do, and the replies whose tokens are remembered."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._laid: OrderedDict[str, _Known] = OrderedDict()

    async def given(self, http: HTTPRequest, talk: str, message: str) -> Given:
        return await rooms_of(self._desk).chats.given(owner_of(http.scope), talk, message)

    async def look(self, given: Given, start: int, limit: int) -> shapes.Inside:
        async with self._inspector(given.model) as inspector:
            laid = await self._lay_out(inspector, given)
            tokens = await inspector.look(laid, start, limit)
            drawn = await inspector.drawn(given.request.sampling)
        shape = await self._shape(given.model)
        counted = given.message.prompt_tokens
        return shapes.Inside(
            model=given.model,
            prompt_text=laid.given,
            prompt_marks=list(laid.marks),
            prompt_tokens=laid.prompt,
            prompt_exact=counted is None or counted == laid.prompt,
            text=laid.text,
            words_from=laid.words_from,
            begun=given.said.begun,
            tokens=[_shown(token, laid, start + at) for at, token in enumerate(tokens)],
            start=start,
            total=laid.places,
            exact=laid.exact,
            drawn=_drawn(drawn),
            layers=shape.layers,
            heads=shape.heads,
            parameters=shape.parameters,
            attention=shape.shown,
            attention_parameters=shape.most_parameters,
            attention_tokens=shape.most_tokens,
        )

    async def weigh(self, given: Given, body: shapes.Weigh) -> shapes.WeighedList:
        sampling = Sampling(
            temperature=body.temperature, top_k=body.top_k, top_p=body.top_p, min_p=body.min_p
        )
        async with self._inspector(given.model) as inspector:
            laid = await self._lay_out(inspector, given)
            weighing = await inspector.weigh(laid, body.position, sampling, WEIGHED)
        return shapes.WeighedList(
            data=[
                shapes.Weighed(
                    id=share.piece.id,
                    piece=share.piece.text,
                    kind=share.piece.kind,
                    before=share.before,
                    after=share.after,
                )
                for share in weighing.shares
            ],
            alive=weighing.alive,
            vocabulary=weighing.vocabulary,
        )

    async def attend(self, given: Given, body: shapes.Attend) -> shapes.Attention:
        source = rooms_of(self._desk).attention
        if source is None:
            raise UnsupportedError("This server does not show attention.", param="layer")
        async with self._inspector(given.model) as inspector:
            laid = await self._lay_out(inspector, given)
        looking = laid.prompt + body.position
        if looking >= len(laid.ids):
            raise InputError(
                f"position is {body.position}, but the reply has {len(laid.ids) - laid.prompt} "
                "tokens that look back, counted from 0.",
                param="position",
            )
        weights = await source.weights(given.model, laid.ids, body.layer, body.head, looking)
        return shapes.Attention(
            pieces=[piece.text for piece in laid.pieces[: looking + 1]],
            shown=list(laid.shown[: looking + 1]),
            weights=list(weights),
            prompt_tokens=laid.prompt,
            layer=body.layer,
            head=body.head,
        )

    async def _shape(self, model: str) -> AttentionShape:
        source = rooms_of(self._desk).attention
        return _NOTHING if source is None else await source.shape(model)

    @asynccontextmanager
    async def _inspector(self, model: str) -> AsyncIterator[Inspector]:
        async with self._desk.models.lease(model) as lm:
            if not isinstance(lm, Inspectable):
                hosted = "is hosted and " if lm.capabilities.location == "hosted" else ""
                raise UnsupportedError(
                    f"{model} {hosted}gives no whole distributions, so one cannot look inside its "
                    "replies. Ask a model on this machine.",
                    param="model",
                )
            yield await lm.inspector()

    async def _lay_out(self, inspector: Inspector, given: Given) -> Laid:
        # Everything that the tokens depend on is compared, so nothing stale is ever shown.
        key = given.message.id
        known = self._laid.get(key)
        if known is not None and known.inspector() is inspector and known.given == given:
            self._laid.move_to_end(key)
            return known.laid
        laid = await inspector.lay_out(given.request, given.said)
        self._laid[key] = _Known(given, weakref.ref(inspector), laid)
        self._laid.move_to_end(key)
        while len(self._laid) > REMEMBERED:
            self._laid.popitem(last=False)
        return laid


def _shown(token: TokenInside, laid: Laid, place: int) -> shapes.TokenShown:
    at = laid.prompt + place
    return shapes.TokenShown(
        id=token.piece.id,
        piece=token.piece.text,
        kind=token.piece.kind,
        shown=laid.shown[at] if at < len(laid.shown) else "",
        start=token.start,
        whole=token.whole,
        logprob=token.logprob,
        rank=token.rank,
        entropy=token.entropy,
        top=[
            shapes.Alternative(
                id=other.piece.id,
                piece=other.piece.text,
                kind=other.piece.kind,
                logprob=other.logprob,
            )
            for other in token.top
        ],
    )


def _drawn(sampling: Sampling) -> shapes.Drawn:
    return shapes.Drawn(
        temperature=1.0 if sampling.temperature is None else sampling.temperature,
        top_k=sampling.top_k or 0,
        top_p=1.0 if sampling.top_p is None else sampling.top_p,
        min_p=sampling.min_p,
    )


async def _while_there(http: HTTPRequest, work: Coroutine[Any, Any, T]) -> T:
    """What `work` gives; it ends at once when nobody waits for it any more."""
    working = asyncio.create_task(work)

    async def watch() -> None:
        while (await http.receive())["type"] != "http.disconnect":
            pass
        working.cancel()

    watching = asyncio.create_task(watch())
    try:
        return await working
    except asyncio.CancelledError:
        if watching.done():
            raise ClientGoneError from None
        raise
    finally:
        watching.cancel()
        working.cancel()
