"""Deleting that really deletes: rows, files, what the index knew of them, and their traces.

What is deleted can come back for a while (`conversations.RETURNS_SECONDS`); then `sweep` takes it
away. Long conversations go in portions, so that nobody waits long for the writer.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy import Connection

from kataribe.store import search
from kataribe.store.conversations import RETURNS_SECONDS
from kataribe.store.database import Store
from kataribe.store.ids import now
from kataribe.store.tables import attachments, conversations, messages, queued, votes

PORTION = 200
"""Messages in one transaction."""

LOOSE_SECONDS = 7 * 24 * 3600.0
"""How long a file that no message has is kept: somebody may still be writing the message."""

_PAGES = 500
"""Pages of the index that one transaction merges."""


@dataclass(frozen=True, slots=True)
class Swept:
    """How much is gone for good."""

    conversations: int = 0
    messages: int = 0
    files: int = 0


def sweep(store: Store, *, at: float | None = None) -> Swept:
    """Deletes for good what was deleted longer ago than it can come back.

    It takes as long as there is much to delete; run it in a thread. Whatever interrupts it, the
    next one goes on from there.

    Args:
        store: The database.
        at: Seconds since 1970 to count back from; None: now.
    """
    at = now() if at is None else at
    with store.reading() as tx:
        gone = _gone(tx, at - RETURNS_SECONDS)
    spoken = sum(_delete_conversation(store, id_) for id_ in gone)
    while True:
        with store.writing() as tx:
            one = _delete_messages(tx, _gone_messages(tx, at - RETURNS_SECONDS))
        spoken += one
        if one == 0:
            break
    with store.writing() as tx:
        files = _delete_loose(tx, at - LOOSE_SECONDS)
    swept = Swept(len(gone), spoken, files)
    if swept != Swept():
        scrub(store)
    return swept


def delete_for_good(store: Store, owner: str, conversation: str) -> Swept:
    """Deletes a conversation at once, with everything below it.

    From the first moment it is as deleted for everybody. Raises `NotFoundError` where the owner
    has none.
    """
    from kataribe.store import conversations as rows

    with store.writing() as tx:
        if rows.get(tx, owner, conversation, deleted=True).deleted_at is None:
            rows.delete(tx, owner, conversation)
    swept = Swept(conversations=1, messages=_delete_conversation(store, conversation))
    scrub(store)
    return swept


def scrub(store: Store) -> None:
    """Removes what deleted words left behind in the index and in the log of changes.

    The index only notes that something is gone, until its parts are merged; SQLite's log keeps
    pages as they were, until it is written back and emptied.
    """
    while True:
        with store.writing() as tx:
            before = _changes(tx)
            # A negative number merges all parts into one, however few they are.
            tx.exec_driver_sql("INSERT INTO words(words, rank) VALUES ('merge', ?)", (-_PAGES,))
            # The statement alone counts as one change: more says that something was merged.
            if _changes(tx) - before < 2:
                break
    # A reader may hold it up; then the next sweep does it.
    with contextlib.closing(sqlite3.connect(store.path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _delete_conversation(store: Store, conversation: str) -> int:
    spoken = 0
    while True:
        with store.writing() as tx:
            query = sa.select(messages.c.id).where(messages.c.conversation == conversation)
            ids = tx.execute(query.limit(PORTION)).scalars().all()
            if ids:
                spoken += _delete_messages(tx, ids)
                continue
            title = tx.execute(
                sa.select(conversations.c.title).where(conversations.c.id == conversation)
            ).scalar()
            search.unindex(tx, "title", conversation, title or "")
            tx.execute(sa.delete(conversations).where(conversations.c.id == conversation))
            return spoken


def _delete_messages(tx: Connection, ids: Sequence[str]) -> int:
    """Deletes messages with their files, what the index knows of them, and votes on them."""
    if not ids:
        return 0
    rows = tx.execute(
        sa.select(messages.c.id, messages.c.text, messages.c.group).where(messages.c.id.in_(ids))
    ).all()
    for row in rows:
        search.unindex(tx, "message", row.id, row.text)
    tx.execute(sa.delete(messages).where(messages.c.id.in_(ids)))  # files go along
    groups = {row.group for row in rows if row.group}
    if groups:
        left = sa.select(messages.c.group).where(messages.c.group.in_(groups))
        tx.execute(sa.delete(votes).where(votes.c.group.in_(groups), votes.c.group.not_in(left)))
    return len(rows)


def _gone(tx: Connection, before: float) -> Sequence[str]:
    query = sa.select(conversations.c.id).where(conversations.c.deleted_at < before)
    return tx.execute(query).scalars().all()


def _gone_messages(tx: Connection, before: float) -> Sequence[str]:
    # The newest first: a reply is never left without the question that stood above it.
    query = sa.select(messages.c.id).where(messages.c.deleted_at < before)
    return tx.execute(query.order_by(messages.c.key.desc()).limit(PORTION)).scalars().all()


def _delete_loose(tx: Connection, before: float) -> int:
    """Deletes files that were never sent; those of messages in a queue are still to be."""
    waiting = {
        id_
        for asked in tx.execute(sa.select(queued.c.asked)).scalars()
        for id_ in asked.get("attachments", [])
    }
    loose = sa.select(attachments.c.id).where(
        attachments.c.message.is_(None), attachments.c.created_at < before
    )
    gone = [id_ for id_ in tx.execute(loose).scalars() if id_ not in waiting]
    for start in range(0, len(gone), PORTION):
        part = gone[start : start + PORTION]
        tx.execute(sa.delete(attachments).where(attachments.c.id.in_(part)))
    return len(gone)


def _changes(tx: Connection) -> int:
    count: int = tx.exec_driver_sql("SELECT total_changes()").scalar_one()
    return count
