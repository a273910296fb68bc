"""What a search shows, each with its place: messages, thoughts, titles, folders, files and more."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from kataribe.store.attachments import words_column, words_of
from kataribe.store.conversations import FOUND
from kataribe.store.cutting import Budget
from kataribe.store.messages import FOUND as SAID
from kataribe.store.search import match, snippet
from kataribe.store.tables import attachments, conversations, messages

LOOKED_THROUGH = 2**20
"""Characters of all hits together in which their words are looked for, to show the place."""

_SHOWN = 1024
"""Characters of a text that are read besides those, to show what stands around the words."""


@dataclass(frozen=True, slots=True)
class Hit:
    """What holds the words.

    Attributes:
        key: Its place among all that was ever found; later things have higher ones.
        kind: `message`, `thought` (before one), `remark` (on one), `file` (beside one), `title`,
            `system` or `folder`.
        conversation: Its id.
        title: The conversation's.
        message: Its id; None where a title, a system text or a folder was found.
        role: Who said it.
        snippet: A line of the text around the words.
        marks: [start, end) of the words in it, in code points.
        created_at: Seconds since 1970.
    """

    key: int
    kind: str
    conversation: str
    title: str
    message: str | None
    role: str | None
    snippet: str
    marks: list[tuple[int, int]]
    created_at: float


# What many conversations share, a folder or a usual system text, is found once, in the newest.
_HITS = """
SELECT p.key, p.kind, p.ref, c.id AS conversation, c.title, m.id AS message, m.role,
       coalesce(m.created_at, c.created_at) AS created_at
FROM words
JOIN passages p ON p.key = words.rowid
JOIN conversations c ON c.id = p.within
LEFT JOIN attachments a ON p.kind = 'file' AND a.id = p.ref
LEFT JOIN messages m
  ON p.kind NOT IN ('title', 'system', 'folder') AND m.id = coalesce(a.message, p.ref)
WHERE words MATCH :match AND words.rowid < :before
  AND p.kind IN ('message', 'thought', 'remark', 'file', 'title', 'system', 'folder')
  AND c.owner = :owner AND c.deleted_at IS NULL AND m.deleted_at IS NULL
  AND (p.kind IN ('title', 'system', 'folder') OR m.id IS NOT NULL)
  AND (p.kind NOT IN ('system', 'folder') OR NOT EXISTS (
    SELECT 1 FROM conversations d
    WHERE d.owner = c.owner AND d.touched > c.touched AND d.deleted_at IS NULL
      AND CASE p.kind WHEN 'system' THEN d.system = c.system ELSE d.folder = c.folder END))
ORDER BY words.rowid DESC LIMIT :limit
"""


def hits(
    tx: Connection, owner: str, query: str, *, limit: int, before: int | None = None
) -> tuple[list[Hit], bool]:
    """Where the owner's conversations hold the words of a query, newest first.

    Args:
        tx: A view of the database.
        owner: Whose conversations.
        query: As `search.find` takes it.
        limit: How many at most.
        before: The `key` of the last hit before these.

    Returns:
        The hits, and whether there are more.
    """
    looked_for = match(owner, query)
    if looked_for is None:
        return [], False
    place = 2**62 if before is None else before
    values = {"match": looked_for, "before": place, "owner": owner, "limit": limit + 1}
    rows = tx.execute(sa.text(_HITS), values).all()
    budget = Budget(LOOKED_THROUGH)
    return [_hit(tx, row, query, budget) for row in rows[:limit]], len(rows) > limit


def _hit(tx: Connection, row: sa.Row[Any], query: str, budget: Budget) -> Hit:
    text = row.title if row.kind == "title" else _text(tx, row, budget.most + _SHOWN)
    line, marks = snippet(text, query, budget=budget)
    return Hit(
        row.key, row.kind, row.conversation, row.title, row.message, row.role, line, marks,
        row.created_at,
    )  # fmt: skip


def _text(tx: Connection, row: sa.Row[Any], most: int) -> str:
    """Of one thing at a time, and no more than is looked at."""
    if row.kind in FOUND:
        here = conversations.c.id == row.ref
        beginning = sa.func.substr(conversations.c[row.kind], 1, most)
        return str(tx.execute(sa.select(beginning).where(here)).scalar_one())
    if row.kind == "file":
        here = attachments.c.id == row.ref
        return words_of(
            *tx.execute(sa.select(attachments.c.name, words_column()).where(here)).one()
        )
    column = messages.c[SAID[row.kind]]
    query = sa.select(sa.func.substr(column, 1, most)).where(messages.c.id == row.message)
    text: str = tx.execute(query).scalar_one()
    return text
