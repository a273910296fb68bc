"""The files beside messages, without their bytes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy import Connection

from kataribe.store.messages import AT_A_TIME
from kataribe.store.queue import Item
from kataribe.store.tables import attachments


@dataclass(frozen=True, slots=True)
class Beside:
    """A file beside a message; its size in bytes."""

    id: str
    name: str
    media_type: str
    size: int


Files = Mapping[str, Sequence[Beside]]
"""By the id of the message or the waiting item."""

_COLUMNS = (
    attachments.c.message,
    attachments.c.id,
    attachments.c.name,
    attachments.c.media_type,
    attachments.c.size,
)


def files_of(tx: Connection, ids: Sequence[str]) -> Files:
    """The files of messages."""
    found: dict[str, list[Beside]] = {}
    for start in range(0, len(ids), AT_A_TIME):
        part = attachments.c.message.in_(ids[start : start + AT_A_TIME])
        query = sa.select(*_COLUMNS).where(part)
        for row in tx.execute(query.order_by(attachments.c.created_at, attachments.c.id)):
            found.setdefault(row.message, []).append(Beside(*row[1:]))
    return found


def files_waiting(tx: Connection, items: Iterable[Item]) -> Files:
    """The files that wait with items of the queue."""
    wanted = {item.id: item.asked.get("attachments", []) for item in items}
    every = [file for files in wanted.values() for file in files]
    query = sa.select(*_COLUMNS).where(attachments.c.id.in_(every))
    known = {row.id: Beside(*row[1:]) for row in tx.execute(query)} if every else {}
    return {item: [known[f] for f in files if f in known] for item, files in wanted.items()}
