"""Responses of `/v1/responses` that are kept, so that later ones can go on from them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from kataribe.base.errors import InputError, NotFoundError
from kataribe.store.ids import now
from kataribe.store.tables import responses

MOST = 1000
"""Responses of one person; the oldest go when there are more."""

MOST_BYTES = 256 << 20
"""Of their JSON together, pictures among it; the oldest go when there is more."""

LASTS = 30 * 24 * 3600.0
"""Seconds that one is kept, as at OpenAI."""

LONGEST_ID = 64


@dataclass(frozen=True, slots=True)
class Kept:
    """A response with what was asked.

    Attributes:
        id: Its name, which begins with `resp_`.
        model: Who has answered.
        previous: The response that it goes on from; None where it begins.
        input: The items that came with its request, each with an id.
        response: The response as it was told.
    """

    id: str
    model: str
    previous: str | None
    input: Sequence[Mapping[str, Any]]
    response: Mapping[str, Any]


def keep(tx: Connection, owner: str, kept: Kept) -> None:
    """Keeps a response; the oldest make room for it."""
    written = json.dumps([list(kept.input), kept.response], ensure_ascii=False)
    tx.execute(
        sa.insert(responses).values(
            id=kept.id,
            owner=owner,
            model=kept.model,
            previous=kept.previous,
            input=list(kept.input),
            response=dict(kept.response),
            size=len(written.encode("utf-8", "replace")),
            created_at=now(),
        )
    )
    _make_room(tx, owner)


def get(tx: Connection, owner: str, id_: str) -> Kept:
    """A response; raises `NotFoundError`, for other people's too."""
    query = sa.select(responses).where(*_of(owner), responses.c.id == id_)
    row = tx.execute(query).one_or_none()
    if row is None:
        raise NotFoundError(_gone(id_), param="response_id")
    return _kept(row)


def chain(tx: Connection, owner: str, id_: str) -> list[Kept]:
    """A response and those that it goes on from, the first one first.

    Raises `InputError`, as OpenAI's API does, where one of them is kept no more: what came after it
    makes no sense without.
    """
    found: list[Kept] = []
    wanted: str | None = id_
    while wanted is not None:
        query = sa.select(responses).where(*_of(owner), responses.c.id == wanted)
        row = tx.execute(query).one_or_none()
        if row is None:
            before = f"{id_[:LONGEST_ID]!r} goes on from another: " if wanted != id_ else ""
            raise InputError(
                before + _gone(wanted),
                param="previous_response_id",
                code="previous_response_not_found",
            )
        found.append(_kept(row))
        wanted = row.previous  # older than the row, so this ends
    return found[::-1]


def item(tx: Connection, owner: str, start: str, id_: str) -> Mapping[str, Any] | None:
    """The item `id_` of the response whose id begins with `start`; None where there is none."""
    query = sa.select(responses).where(
        *_of(owner), responses.c.id >= start, responses.c.id < start + "\uffff"
    )
    for row in tx.execute(query):
        kept = _kept(row)
        items: list[Mapping[str, Any]] = [*kept.input, *kept.response.get("output", ())]
        for one in items:
            if one.get("id") == id_:
                return one
    return None


def delete(tx: Connection, owner: str, id_: str) -> None:
    """Deletes a response for good; raises `NotFoundError`."""
    gone = tx.execute(sa.delete(responses).where(*_of(owner), responses.c.id == id_))
    if not gone.rowcount:
        raise NotFoundError(_gone(id_), param="response_id")


def sweep(tx: Connection, at: float) -> int:
    """Deletes what is kept no more at that time; gives how many."""
    due = responses.c.created_at < at - LASTS
    return tx.execute(sa.delete(responses).where(due)).rowcount


def _of(owner: str) -> tuple[sa.ColumnElement[bool], ...]:
    return responses.c.owner == owner, responses.c.created_at >= now() - LASTS


def _kept(row: sa.Row[Any]) -> Kept:
    return Kept(row.id, row.model, row.previous, row.input, row.response)


def _make_room(tx: Connection, owner: str) -> None:
    rows = tx.execute(
        sa.select(responses.c.key, responses.c.size)
        .where(responses.c.owner == owner)
        .order_by(responses.c.key.desc())
    )
    total = 0
    for number, (key, size) in enumerate(rows):
        total += size
        if number and (number >= MOST or total > MOST_BYTES):  # the newest stays
            older = responses.c.owner == owner, responses.c.key <= key
            tx.execute(sa.delete(responses).where(*older))
            return


def _gone(id_: str) -> str:
    return (
        f"There is no response {id_[:LONGEST_ID]!r}. Responses are kept for {LASTS / 86400:.0f} "
        f"days, {MOST:,} of a person at most, and none that was asked with store: false. Send the "
        "items in input."
    )
