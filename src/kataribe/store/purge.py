"""Deleting that really deletes: rows, files, what the index knew of them, and their traces.

What is deleted can come back for a while (`conversations.RETURNS_SECONDS`); then `sweep` takes it
away. Long conversations go in portions, so that nobody waits long for the writer; before the first
one, what goes is marked with `GOING` as its `deleted_at`, and nothing so marked comes back.

Backups that an upgrade made hold what was in the database then; the sweep removes them in time.
"""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from kataribe.base.errors import StorageError
from kataribe.store import facts, journals, people, prompts, responses, search
from kataribe.store.attachments import forget
from kataribe.store.conversations import FOUND, RETURNS_SECONDS
from kataribe.store.database import Store
from kataribe.store.ids import now
from kataribe.store.messages import FOUND as SAID
from kataribe.store.tables import (
    GOING,
    attachments,
    conversations,
    messages,
    queued,
    votes,
)
from kataribe.store.upgrade import BACKUP_SECONDS, backups, remove_backups

log = logging.getLogger("kataribe.store")

PORTION = 200
"""Messages in one transaction."""

PORTION_LENGTH = 200_000
"""Characters of messages in one transaction: to take them out of the index, each is cut again."""

_CUT = messages.c.length + sa.func.length(messages.c.reasoning)

PORTION_FILES = 20
"""Attachments in one transaction; all of their bytes are overwritten."""

LOOSE_SECONDS = 7 * 24 * 3600.0
"""How long a file that no message has is kept: somebody may still be writing the message."""

_LONG = 0.05
_REST = 0.15
"""Seconds without a transaction after one that took longer than `_LONG`: writers in other processes
do not stand in line, they ask every tenth of a second and give up after ten seconds."""

_PAGES = 500
"""Pages of the index that one transaction merges."""

_PATIENCE = 0.5
"""Seconds to wait for readers before the log is emptied; writers wait as long."""


@dataclass(frozen=True, slots=True)
class Swept:
    """How much is gone for good."""

    conversations: int = 0
    messages: int = 0
    files: int = 0


def sweep(store: Store, *, at: float | None = None) -> Swept:
    """Deletes for good what was deleted longer ago than it can come back, and old backups.

    It takes as long as there is much to delete; run it in a thread. Whatever interrupts it, the
    next one goes on from there.

    Args:
        store: The database.
        at: Seconds since 1970 to count back from; None: now.
    """
    at = now() if at is None else at
    limit = at - RETURNS_SECONDS
    _set_right(store, at)
    with store.reading() as tx:
        due = _gone(tx, limit)
    gone = [id_ for id_ in due if _begin(store, id_, limit)]
    spoken = sum(_empty(store, id_) for id_ in gone) + _sweep_messages(store, limit)
    if gone or spoken:
        _merge(store)
    for id_ in gone:
        _end(store, id_)
    with store.writing() as tx:
        files = _delete_loose(tx, at - LOOSE_SECONDS)
        prompts.purge(tx, at)
        facts.sweep(tx, limit, at)
        responses.sweep(tx, at)
    empty_log(store)
    _sweep_backups(store, at - BACKUP_SECONDS)
    return Swept(len(gone), spoken, files)


def delete_for_good(store: Store, owner: str, conversation: str) -> Swept:
    """Deletes a conversation at once, with everything below it.

    From the first moment it is as deleted for everybody, and cannot come back. Raises
    `NotFoundError` where the owner has none.
    """
    from kataribe.store import conversations as rows

    with store.writing() as tx:
        rows.get(tx, owner, conversation, deleted=True)
        _mark(tx, conversations.c.id == conversation)
    swept = Swept(conversations=1, messages=_empty(store, conversation))
    _merge(store)
    _end(store, conversation)
    # Where it cannot be done now, the next sweep does it: it always looks.
    with contextlib.suppress(StorageError):
        empty_log(store)
    for backup in backups(store.path):
        log.warning("What was deleted for good may still be in the backup %s.", backup)
    return swept


def empty_account(store: Store, person: str) -> people.Owned:
    """Locks somebody out and deletes, in portions, what they wrote; gives how much they owned.

    What is interrupted goes on when it is called again. Their jobs are to be cancelled, which
    whoever works on jobs does. The account itself stays until `remove_account`.
    """
    with store.writing() as tx:
        owned = people.owned(tx, person)
        people.set_disabled(tx, person, disabled=True)
        people.cancel_jobs(tx, person)
    _empty_all(store, person)
    return owned


def remove_account(store: Store, person: str) -> None:
    """Deletes an account, and what it still owns goes with it."""
    while True:
        with store.writing() as tx:
            if people.remove(tx, person):
                return
        # A request that was under way has written since: its words are to leave the index, too.
        _empty_all(store, person)


def scrub(store: Store) -> bool:
    """Removes what deleted words left behind in the index and in the log of changes.

    Returns:
        As `empty_log` does.
    """
    _merge(store)
    return empty_log(store)


def empty_log(store: Store) -> bool:
    """Writes SQLite's log of changes back and empties it: it keeps pages as they once were.

    Returns:
        Whether it is empty now. While somebody reads or writes it is not; every sweep tries anew.

    Raises:
        StorageError: The disk is full, say.
    """
    log = store.path.with_name(f"{store.path.name}-wal")
    try:
        if not log.exists() or log.stat().st_size == 0:
            return True
        with contextlib.closing(sqlite3.connect(store.path, timeout=_PATIENCE)) as connection:
            busy, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            return not busy
    except (sqlite3.Error, OSError) as error:
        raise StorageError(
            f"What was deleted is gone, but its traces could not be removed from {log}: {error}. "
            "It is tried again every minute; see that the disk has space."
        ) from error


def _merge(store: Store) -> None:
    """Merges the parts of the index: until then, it only notes that something is gone."""
    while True:
        with _in_turn(store) as tx:
            before = _changes(tx)
            # A negative number merges all parts into one, however few they are.
            tx.exec_driver_sql("INSERT INTO words(words, rank) VALUES ('merge', ?)", (-_PAGES,))
            # The statement alone counts as one change: more says that something was merged.
            if _changes(tx) - before < 2:
                break


@contextlib.contextmanager
def _in_turn(store: Store) -> Iterator[Connection]:
    """A transaction of several; behind a long one others get their turn."""
    began = time.monotonic()
    with store.writing() as tx:
        yield tx
    if time.monotonic() - began > _LONG:
        time.sleep(_REST)


def _begin(store: Store, conversation: str, limit: float) -> bool:
    """Marks a conversation as going; not where it came back since it was looked up."""
    with store.writing() as tx:
        due = sa.and_(conversations.c.id == conversation, conversations.c.deleted_at < limit)
        if not tx.scalar(sa.select(1).where(due)):
            return False
        _mark(tx, conversations.c.id == conversation)
        return True


def _mark(tx: Connection, which: sa.ColumnElement[bool]) -> None:
    """From here on these cannot come back; what waits in a queue goes first, files included."""
    tx.execute(sa.update(conversations).where(which).values(deleted_at=GOING))
    own = queued.c.conversation.in_(sa.select(conversations.c.id).where(which))
    files = _waiting_files(tx, own) - _waiting_files(tx, sa.not_(own))
    _delete_files(tx, sorted(files))
    tx.execute(sa.delete(queued).where(own))


def _empty(store: Store, conversation: str) -> int:
    """Deletes all messages of a conversation that is marked, and what the index knows of it."""
    spoken = 0
    while True:
        with _in_turn(store) as tx:
            here = messages.c.conversation == conversation
            ids = _portion(tx, sa.select(messages.c.id, _CUT).where(here))
            if ids:
                spoken += _delete_messages(tx, ids)
                journals.remove(store.path, ids)
                continue
            columns = [conversations.c[kind] for kind in FOUND]
            told = tx.execute(sa.select(*columns).where(conversations.c.id == conversation)).first()
            for kind, text in zip(FOUND, told or (), strict=False):
                search.unindex(tx, kind, conversation, text)
            return spoken


def _empty_all(store: Store, person: str) -> None:
    """Deletes all conversations and files of a person."""
    with store.writing() as tx:
        _mark(tx, conversations.c.owner == person)
        query = sa.select(conversations.c.id).where(conversations.c.owner == person)
        ids = tx.execute(query).scalars().all()
    while True:
        with _in_turn(store) as tx:
            query = sa.select(attachments.c.id).where(attachments.c.owner == person)
            files = tx.execute(query.limit(PORTION_FILES)).scalars().all()
            forget(tx, attachments.c.id.in_(files))
            tx.execute(sa.delete(attachments).where(attachments.c.id.in_(files)))
        if not files:
            break
    for id_ in ids:
        _empty(store, id_)
    _merge(store)
    for id_ in ids:
        _end(store, id_)


def _end(store: Store, conversation: str) -> None:
    """Deletes the row; the last of all, so that a sweep which was interrupted begins again."""
    with store.writing() as tx:
        here = conversations.c.id == conversation
        tx.execute(sa.delete(conversations).where(here, conversations.c.deleted_at == GOING))


def _portion(tx: Connection, query: sa.Select[Any]) -> Sequence[str]:
    """The first of these messages, as many as one transaction takes; at least one of any."""
    ids: list[str] = []
    length = 0
    for id_, more in tx.execute(query.limit(PORTION)).all():
        length += more
        if ids and length > PORTION_LENGTH:
            break
        ids.append(id_)
    return ids


def _set_right(store: Store, at: float) -> None:
    """What was deleted while the clock stood ahead is as if deleted now, or it would stay."""
    with store.writing() as tx:
        ahead = conversations.c.deleted_at > at
        tx.execute(sa.update(conversations).where(ahead).values(deleted_at=at))
        query = sa.select(messages.c.deleted_at).distinct().where(messages.c.deleted_at > at)
        stamps = tx.execute(query.order_by(messages.c.deleted_at)).scalars().all()
        # What was deleted together comes back together: deletions must not get to share a time.
        for number, stamp in enumerate(stamps, 1):
            then = messages.c.deleted_at == stamp
            tx.execute(sa.update(messages).where(then).values(deleted_at=at + number * 1e-3))


def _sweep_backups(store: Store, before: float) -> None:
    try:
        for gone in remove_backups(store.path, before):
            log.info("The backup %s is removed: its time is over.", gone)
    except OSError as error:
        raise StorageError(
            f"An old backup of {store.path} cannot be removed: {error}. Mend the rights of its "
            "folder, or remove the file."
        ) from error


def _sweep_messages(store: Store, limit: float) -> int:
    """Deletes single messages that can no longer come back."""
    with store.writing() as tx:
        # All at once: what was deleted together never comes back in part.
        due = messages.c.deleted_at < limit
        tx.execute(sa.update(messages).where(due).values(deleted_at=GOING))
    spoken = 0
    while True:
        with _in_turn(store) as tx:
            ids = _going_messages(tx)
            one = _delete_messages(tx, ids)
            journals.remove(store.path, ids)
        spoken += one
        if one == 0:
            return spoken


def _delete_messages(tx: Connection, ids: Sequence[str]) -> int:
    """Deletes messages with their files, what the index knows of them, and votes on them."""
    if not ids:
        return 0
    rows = tx.execute(
        sa.select(
            messages.c.id, messages.c.group, *(messages.c[column] for column in SAID.values())
        ).where(messages.c.id.in_(ids))
    ).all()
    for row in rows:
        for kind, column in SAID.items():
            search.unindex(tx, kind, row.id, getattr(row, column))
    forget(tx, attachments.c.message.in_(ids))
    tx.execute(sa.delete(messages).where(messages.c.id.in_(ids)))  # files go along
    groups = {row.group for row in rows if row.group}
    if groups:
        left = sa.select(messages.c.group).where(messages.c.group.in_(groups))
        tx.execute(sa.delete(votes).where(votes.c.group.in_(groups), votes.c.group.not_in(left)))
    return len(rows)


def _gone(tx: Connection, before: float) -> Sequence[str]:
    query = sa.select(conversations.c.id).where(conversations.c.deleted_at < before)
    return tx.execute(query).scalars().all()


def _going_messages(tx: Connection) -> Sequence[str]:
    # The newest first: a reply is never left without the question that stood above it.
    going = messages.c.deleted_at == GOING
    query = sa.select(messages.c.id, _CUT).where(going)
    return _portion(tx, query.order_by(messages.c.key.desc()))


def _delete_loose(tx: Connection, before: float) -> int:
    """Deletes files that were never sent; those of messages in a queue are still to be."""
    loose = sa.select(attachments.c.id).where(
        attachments.c.message.is_(None), attachments.c.created_at < before
    )
    waiting = _waiting_files(tx, sa.true())
    gone = [id_ for id_ in tx.execute(loose).scalars() if id_ not in waiting]
    return _delete_files(tx, gone)


def _waiting_files(tx: Connection, where: sa.ColumnElement[bool]) -> set[str]:
    """Files that messages in a queue name."""
    named = tx.execute(sa.select(queued.c.asked).where(where)).scalars()
    return {id_ for asked in named for id_ in asked.get("attachments", [])}


def _delete_files(tx: Connection, ids: Sequence[str]) -> int:
    """Deletes files; not those that a message has."""
    for start in range(0, len(ids), PORTION):
        here = attachments.c.id.in_(ids[start : start + PORTION])
        tx.execute(sa.delete(attachments).where(here, attachments.c.message.is_(None)))
    return len(ids)


def _changes(tx: Connection) -> int:
    count: int = tx.exec_driver_sql("SELECT total_changes()").scalar_one()
    return count
