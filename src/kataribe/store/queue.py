"""The queue of a conversation: messages that wait for their turn, in order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from kataribe.base.errors import InputError, NotFoundError
from kataribe.store import attachments
from kataribe.store.attachments import Attachment
from kataribe.store.ids import now
from kataribe.store.tables import queued, seen_sends

LONGEST_TURN = 8_000_000
"""Characters of messages that were merged into one."""

MOST_WAITING = 100
"""Messages in one queue: nobody writes more while one reply is pending."""


@dataclass(frozen=True, slots=True)
class Item:
    """A message that waits.

    `asked`: models, sampling, attachments, parent, blind as they were sent. `sources`: ids of what
    was merged into it.
    """

    id: str
    text: str
    asked: Mapping[str, Any] = field(default_factory=dict)
    sources: tuple[str, ...] = ()
    created_at: float = 0.0


def waiting(tx: Connection, conversation: str) -> tuple[Item, ...]:
    """What waits, in order."""
    columns = (queued.c.id, queued.c.text, queued.c.asked, queued.c.sources, queued.c.created_at)
    query = sa.select(*columns).where(queued.c.conversation == conversation)
    return tuple(
        Item(row.id, row.text, row.asked, tuple(row.sources), row.created_at)
        for row in tx.execute(query.order_by(queued.c.place, queued.c.key))
    )


def put(tx: Connection, conversation: str, item: Item, *, first: bool = False) -> None:
    """Puts an item at the end, or before all others."""
    places = sa.select(sa.func.min(queued.c.place), sa.func.max(queued.c.place), sa.func.count())
    low, high, many = tx.execute(places.where(queued.c.conversation == conversation)).one()
    if many >= MOST_WAITING:
        raise InputError(
            f"{many} messages wait already, at most {MOST_WAITING} can. Merge or withdraw some, "
            "or wait for the reply.",
            param="text",
            code="queue_full",
        )
    place = 0 if many == 0 else (low - 1 if first else high + 1)
    tx.execute(
        sa.insert(queued).values(
            id=item.id,
            conversation=conversation,
            place=place,
            text=item.text,
            asked=dict(item.asked),
            sources=list(item.sources),
            created_at=item.created_at or now(),
        )
    )


def edit(tx: Connection, conversation: str, id_: str, text: str) -> Item:
    """Changes what a waiting message says; gives it as it was."""
    item = _find(tx, conversation, id_)
    tx.execute(sa.update(queued).where(queued.c.id == id_).values(text=text))
    return item


def take(tx: Connection, conversation: str, id_: str) -> Item:
    """Takes an item out of the queue."""
    item = _find(tx, conversation, id_)
    tx.execute(sa.delete(queued).where(queued.c.id == id_))
    return item


def merge(tx: Connection, conversation: str, id_: str, other: str) -> Item:
    """Makes one turn of an item and its "previous" or "next" neighbour; gives it."""
    items = waiting(tx, conversation)
    here = next((place for place, item in enumerate(items) if item.id == id_), None)
    if here is None:
        _find(tx, conversation, id_)
    assert here is not None
    there = here - 1 if other == "previous" else here + 1
    if not 0 <= there < len(items):
        raise InputError(f"There is no {other} message in the queue to merge with.", param="other")
    first, second = sorted((here, there))
    one = join(tx, [items[first], items[second]])
    tx.execute(sa.delete(queued).where(queued.c.id == items[second].id))
    tx.execute(
        sa.update(queued)
        .where(queued.c.id == one.id)
        .values(text=one.text, asked=dict(one.asked), sources=list(one.sources))
    )
    return one


def merged(items: Sequence[Item]) -> Item:
    """One item of several: texts in order with an empty line between, files of all of them.

    It has the first one's id; the models and sampling are those that were asked for last. Raises
    `InputError` where it would be too long.
    """
    length = sum(len(item.text) for item in items)
    if length > LONGEST_TURN:
        raise InputError(
            f"Together these {len(items)} messages have {length:,} characters; one turn has at "
            f"most {LONGEST_TURN:,}. Send them one by one, or withdraw some.",
            param="text",
        )
    asked: dict[str, Any] = {}
    attachments: list[str] = []
    for item in items:
        attachments += item.asked.get("attachments", [])
        if item.asked.get("models"):
            asked.pop("blind", None)  # it was of the models before
        asked.update({name: value for name, value in item.asked.items() if value})
    if attachments:
        asked["attachments"] = attachments
    sources = [source for item in items for source in (item.id, *item.sources)]
    return Item(
        items[0].id,
        "\n\n".join(item.text for item in items if item.text),
        asked,
        tuple(source for source in dict.fromkeys(sources) if source != items[0].id),
        items[0].created_at,
    )


def join(tx: Connection, items: Sequence[Item]) -> Item:
    """`merged`, and noted: whoever sends one of them again learns what it became."""
    one = merged(items)
    ids = [id_ for item in items for id_ in (item.id, *item.sources)]
    tx.execute(sa.update(seen_sends).where(seen_sends.c.id.in_(ids)).values(became=one.id))
    return one


def files(tx: Connection, items: Iterable[Item]) -> Mapping[str, tuple[Attachment, ...]]:
    """The files that wait with items, by the item's id, in the order they were attached."""
    wanted = {item.id: item.asked.get("attachments", []) for item in items}
    every = [file for names in wanted.values() for file in names]
    known = {file.id: file for file in attachments.of_ids(tx, every)}
    return {id_: tuple(known[f] for f in names if f in known) for id_, names in wanted.items()}


def seen(tx: Connection, id_: str) -> tuple[str, str] | None:
    """The conversation that a sent id went to and what it became; None for a new one."""
    query = sa.select(seen_sends.c.conversation, seen_sends.c.became).where(seen_sends.c.id == id_)
    row = tx.execute(query).one_or_none()
    return None if row is None else (row.conversation, row.became)


def note(tx: Connection, conversation: str, id_: str, became: str) -> None:
    """Remembers that an id was sent, so that sending it again does nothing."""
    tx.execute(sa.insert(seen_sends).values(id=id_, conversation=conversation, became=became))


def _find(tx: Connection, conversation: str, id_: str) -> Item:
    for item in waiting(tx, conversation):
        if item.id == id_:
            return item
    raise NotFoundError(
        f"No message {id_[:40]!r} waits here any more; it was sent, merged or withdrawn.",
        param="item",
    )
