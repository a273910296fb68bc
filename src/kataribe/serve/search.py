"""`/studio/api/search`: words in everything that the person has said and been told."""

from __future__ import annotations

import dataclasses
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Query
from starlette.requests import Request as HTTPRequest

from kataribe.serve.described import failures
from kataribe.serve.desk import desk_of, rooms_of
from kataribe.serve.shapes.conversations import Hit, Hits
from kataribe.serve.who import owner_of
from kataribe.store.hits import hits
from kataribe.store.search import LONGEST_QUERY

Words = Annotated[
    str,
    Query(
        max_length=LONGEST_QUERY,
        description="Words; each must be there, the last may be a beginning. Between quotation "
        "marks they stand together. Japanese needs no spaces.",
    ),
]
Limit = Annotated[int, Query(ge=1, le=100)]
Before = Annotated[
    int | None, Query(ge=1, le=2**62, description="`key` of the last hit so far, for more.")
]


def search_router() -> APIRouter:
    """The route."""
    router = APIRouter(prefix="/studio/api", tags=["studio"])

    @router.get(
        "/search",
        operation_id="searchConversations",
        summary="Find words in all that conversations hold, newest first",
        response_model=Hits,
        responses=failures(400),
    )
    async def search(http: HTTPRequest, q: Words, limit: Limit = 30, before: Before = None) -> Hits:
        desk = desk_of(http)
        work = partial(hits, owner=owner_of(http.scope), query=q, limit=limit, before=before)
        found, more = await rooms_of(desk).store.read(work)
        return Hits(data=[Hit.model_validate(dataclasses.asdict(hit)) for hit in found], more=more)

    return router
