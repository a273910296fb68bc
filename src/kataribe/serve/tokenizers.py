"""`/studio/api/tokenizers`: tokenizers looked at and compared."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from fastapi import APIRouter
from starlette.requests import Request as HTTPRequest

from kataribe.base.errors import UnsupportedError
from kataribe.serve.described import failures, takes
from kataribe.serve.desk import Desk, desk_of, rooms_of
from kataribe.serve.intake import read_body
from kataribe.serve.jobs import shown, workers_of
from kataribe.serve.shapes.jobs import Job as JobShown
from kataribe.serve.shapes.tokenizers import (
    CompareTokenizers,
    CutText,
    PiecesList,
    TokenizerList,
)
from kataribe.serve.who import owner_of
from kataribe.store.jobs import NewJob

if TYPE_CHECKING:
    from kataribe.serve.tokenizers_source import TokenizersSource

KIND = "tokenizers"
"""The kind of job that compares."""

_CHANGES = failures(400, 403, 404, 413, 415, 503)


def tokenizers_router() -> APIRouter:
    """The routes."""
    router = APIRouter(prefix="/studio/api/tokenizers", tags=["studio"])

    @router.get(
        "",
        operation_id="listTokenizers",
        summary="Tokenizers that are here",
        response_model=TokenizerList,
        responses=failures(400),
    )
    async def listed(http: HTTPRequest) -> TokenizerList:
        desk = desk_of(http)
        owner_of(http.scope)
        source = _source(desk)
        return TokenizerList(
            data=list(await asyncio.to_thread(source.tokenizers)),
            corpora=list(await asyncio.to_thread(source.corpora)),
        )

    @router.post(
        "/pieces",
        operation_id="cutText",
        summary="Cut a text into pieces by several tokenizers",
        response_model=PiecesList,
        responses=_CHANGES,
        openapi_extra=takes(CutText),
    )
    async def pieces(http: HTTPRequest) -> PiecesList:
        desk = desk_of(http)
        owner_of(http.scope)
        body = await read_body(http, CutText)
        source = _source(desk)
        return PiecesList(
            data=[await asyncio.to_thread(source.cut, name, body.text) for name in body.names]
        )

    @router.post(
        "/compare",
        operation_id="compareTokenizers",
        summary="Train all kinds at several sizes and measure them, as a job",
        response_model=JobShown,
        responses=_CHANGES,
        openapi_extra=takes(CompareTokenizers),
    )
    async def compare(http: HTTPRequest) -> JobShown:
        desk = desk_of(http)
        owner = owner_of(http.scope)
        body = await read_body(http, CompareTokenizers)
        command = await asyncio.to_thread(_source(desk).comparing, body)
        params = {"command": list(command), "corpus": body.corpus}
        wanted = NewJob(KIND, body.corpus, params, same=("command",))
        return shown(await asyncio.to_thread(workers_of(desk).add, owner, wanted))

    return router


def _source(desk: Desk) -> TokenizersSource:
    found = rooms_of(desk).tokenizers
    if found is None:
        raise UnsupportedError("This server has no tokenizers. Start it with `kataribe up`.")
    return found
