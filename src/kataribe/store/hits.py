"""What a search through conversations shows: messages and titles, each with its place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from kataribe.base.errors import InputError
from kataribe.store.cutting import Budget
from kataribe.store.search import match, place_of, snippet
from kataribe.store.tables import messages

LOOKED_THROUGH = 2**20
"""Characters of all hits together in which their words are looked for, to show the place."""

_SHOWN = 1024
"""Characters of a text that are read besides those, to show what stands around the words."""


@dataclass(frozen=True, slots=True)
class Hit:
    """A message, or a title, that holds the words.

    Attributes:
        conversation: Its id.
        title: The conversation's.
        message: Its id; None where the title itself was found.
        role: Who said it.
        snippet: A line of the text around the words.
        marks: [start, end) of the words in it, in code points.
        created_at: Seconds since 1970.
    """

    conversation: str
    title: str
    message: str | None
    role: str | None
    snippet: str
    marks: list[tuple[int, int]]
    created_at: float


_HITS = """
SELECT c.id AS conversation, c.title, m.id AS message, m.role,
       coalesce(m.created_at, c.created_at) AS created_at
FROM words
JOIN passages p ON p.key = words.rowid
JOIN conversations c ON c.id = p.within
LEFT JOIN messages m ON p.kind = 'message' AND m.id = p.ref
WHERE words MATCH :match AND words.rowid < :before AND p.kind IN ('message', 'title')
  AND c.owner = :owner AND c.deleted_at IS NULL AND m.deleted_at IS NULL
  AND (p.kind = 'title' OR m.id IS NOT NULL)
ORDER BY words.rowid DESC LIMIT :limit
"""


def hits(
    tx: Connection, owner: str, query: str, *, limit: int, before: str | None = None
) -> tuple[list[Hit], bool]:
    """Where the owner's conversations hold the words of a query, newest first.

    Args:
        tx: A view of the database.
        owner: Whose conversations.
        query: As `search.find` takes it.
        limit: How many at most.
        before: The message (or, for a title, the conversation) of the last hit before these.

    Returns:
        The hits, and whether there are more.
    """
    looked_for = match(owner, query)
    if looked_for is None:
        return [], False
    place: int | None = 2**62
    if before is not None and (place := place_of(tx, owner, before)) is None:
        raise InputError(
            f"before is {before[:40]!r}, but nothing of that id is there any more. Search anew.",
            param="before",
        )
    values = {"match": looked_for, "before": place, "owner": owner, "limit": limit + 1}
    rows = tx.execute(sa.text(_HITS), values).all()
    budget = Budget(LOOKED_THROUGH)
    return [_hit(tx, row, query, budget) for row in rows[:limit]], len(rows) > limit


def _hit(tx: Connection, row: sa.Row[Any], query: str, budget: Budget) -> Hit:
    text = row.title
    if row.message is not None:  # one at a time, and no more than is looked at
        part = sa.func.substr(messages.c.text, 1, budget.most + _SHOWN)
        text = tx.execute(sa.select(part).where(messages.c.id == row.message)).scalar_one()
    line, marks = snippet(text, query, budget=budget)
    return Hit(row.conversation, row.title, row.message, row.role, line, marks, row.created_at)
