"""`/studio/api/facts`: what assistants remember of a person, who can see, edit and delete it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated

import sqlalchemy as sa
from fastapi import APIRouter, Path, Query
from sqlalchemy import Connection
from starlette.requests import Request as HTTPRequest

from kataribe.serve.described import failures, takes
from kataribe.serve.desk import desk_of, rooms_of
from kataribe.serve.intake import read_body
from kataribe.serve.shapes.conversations import Empty
from kataribe.serve.shapes.memory import FactChange, FactList, FactsGone, FactShown, FactSource
from kataribe.serve.who import owner_of
from kataribe.store import facts, preferences
from kataribe.store.facts import Fact
from kataribe.store.tables import conversations

WRONG = failures(400, 403, 404, 413, 415, 503, 507)
Name = Annotated[str, Path(max_length=32, description="Id of the fact.")]
SWITCH = "memory"
"""The preference that switches memory off; `use.agents.memory` goes by it."""


def memory_router() -> APIRouter:
    """The routes."""
    router = APIRouter(prefix="/studio/api/facts", tags=["studio"])
    _list_routes(router)
    _one_routes(router)
    return router


def _list_routes(router: APIRouter) -> None:
    @router.get(
        "",
        operation_id="listFacts",
        summary="What assistants remember of the person",
        response_model=FactList,
        responses=failures(400),
    )
    async def listed(http: HTTPRequest, q: Annotated[str, Query(max_length=400)] = "") -> FactList:
        desk = desk_of(http)
        owner = owner_of(http.scope)

        def look(tx: Connection) -> FactList:
            known = facts.listing(tx, owner)
            found = facts.ranked(known, q) if q.strip() else known
            return FactList(
                data=_shown(tx, owner, found),
                on=preferences.read(tx, owner).get(SWITCH) is not False,
                total=len(known),
                most=facts.MOST,
            )

        return await rooms_of(desk).store.read(look)

    @router.delete(
        "",
        operation_id="deleteFacts",
        summary="Delete all facts for good",
        response_model=FactsGone,
        responses=WRONG,
    )
    async def clear(http: HTTPRequest) -> FactsGone:
        desk = desk_of(http)
        owner = owner_of(http.scope)
        gone = await rooms_of(desk).store.write(lambda tx: facts.clear(tx, owner))
        return FactsGone(deleted=gone)


def _one_routes(router: APIRouter) -> None:
    @router.patch(
        "/{fact}",
        operation_id="changeFact",
        summary="Change what a fact says",
        response_model=FactShown,
        responses=WRONG,
        openapi_extra=takes(FactChange),
    )
    async def change(http: HTTPRequest, fact: Name) -> FactShown:
        desk = desk_of(http)
        body = await read_body(http, FactChange)
        owner = owner_of(http.scope)
        return await rooms_of(desk).store.write(
            lambda tx: _shown(tx, owner, [facts.edit(tx, owner, fact, body.text)])[0]
        )

    @router.delete(
        "/{fact}",
        operation_id="deleteFact",
        summary="Delete a fact; for ten minutes it can come back",
        status_code=204,
        responses=WRONG,
    )
    async def delete(http: HTTPRequest, fact: Name) -> None:
        desk = desk_of(http)
        owner = owner_of(http.scope)
        await rooms_of(desk).store.write(lambda tx: facts.delete(tx, owner, fact))

    @router.post(
        "/{fact}/restore",
        operation_id="restoreFact",
        summary="Bring a deleted fact back",
        response_model=FactShown,
        responses=WRONG,
        openapi_extra=takes(Empty),
    )
    async def restore(http: HTTPRequest, fact: Name) -> FactShown:
        desk = desk_of(http)
        await read_body(http, Empty)
        owner = owner_of(http.scope)
        return await rooms_of(desk).store.write(
            lambda tx: _shown(tx, owner, [facts.restore(tx, owner, fact)])[0]
        )


def _shown(tx: Connection, owner: str, found: Sequence[Fact]) -> list[FactShown]:
    """Facts with the titles of the conversations that they are from."""
    columns = conversations.c.id, conversations.c.title
    mine = conversations.c.owner == owner, conversations.c.deleted_at.is_(None)
    named = {fact.source for fact in found if fact.source is not None}
    query = sa.select(*columns).where(*mine, conversations.c.id.in_(named))
    titles = {row.id: row.title for row in tx.execute(query)} if named else {}
    return [
        FactShown(
            id=fact.id,
            text=fact.text,
            source=_source(fact.source, titles),
            assistant=fact.assistant,
            created_at=fact.created_at,
            changed_at=fact.changed_at,
        )
        for fact in found
    ]


def _source(id_: str | None, titles: Mapping[str, str]) -> FactSource | None:
    if id_ is None or id_ not in titles:
        return None
    return FactSource(id=id_, title=titles[id_])
