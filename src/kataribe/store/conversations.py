"""Conversations as rows: the list, and what is set for each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from kataribe.base.errors import InputError, NotFoundError
from kataribe.store import search
from kataribe.store.ids import check_id, now
from kataribe.store.tables import GOING, LIVE, conversations, messages, queued

RETURNS_SECONDS = 600.0
"""How long what was deleted can come back."""

LONGEST_SYSTEM = 200_000
"""Characters of a system text."""


@dataclass(frozen=True, slots=True)
class Conversation:
    """A conversation without its messages.

    Attributes:
        id: What it is named by.
        owner: Whose it is.
        title: Empty until somebody gives one.
        titled_by: "model" or "person"; None where nobody has.
        folder: Empty for none.
        pinned: It stands first in the list.
        model: Answers when a message names none; None takes the default.
        system: Text before all that is said.
        sampling: How replies are drawn, by the names of `Sampling`; empty: as the model likes.
        head: Newest message of the branch that is shown.
        version: Counts every change.
        created_at: Seconds since 1970.
        updated_at: Of the last change that a person sees.
        deleted_at: Until it is purged, it can come back; None: it is not deleted.
        allowed: Tools that a model may use here without asking again: model and tool of each.
        running: Replies that are pending.
        waiting: Messages in the queue.
    """

    id: str
    owner: str
    title: str
    titled_by: str | None
    folder: str
    pinned: bool
    model: str | None
    system: str
    sampling: Mapping[str, Any]
    head: str | None
    version: int
    created_at: float
    updated_at: float
    deleted_at: float | None
    allowed: Sequence[Mapping[str, str]] = ()
    running: int = 0
    waiting: int = 0


@dataclass(frozen=True, slots=True)
class Page:
    """Some conversations, and what to pass as `after` for more."""

    conversations: tuple[Conversation, ...]
    after: str | None


FOUND = ("title", "system", "folder")
"""Columns whose words a search finds; each is its own kind in the index of words."""

_COLUMNS = [
    conversations.c[name] for name in Conversation.__dataclass_fields__ if name in conversations.c
]
_RUNNING = (
    sa.select(sa.func.count())
    .where(messages.c.conversation == conversations.c.id, messages.c.state.in_(LIVE))
    .where(messages.c.deleted_at.is_(None))
    .scalar_subquery()
    .label("running")
)
_WAITING = (
    sa.select(sa.func.count())
    .where(queued.c.conversation == conversations.c.id)
    .scalar_subquery()
    .label("waiting")
)


def create(tx: Connection, owner: str, id_: str, **given: Any) -> Conversation:
    """A new conversation; the same id by the same owner gives the one that is there.

    `given`: model, system, folder, title, titled_by, sampling.
    """
    check_id(id_, "id")
    found = tx.execute(sa.select(conversations.c.owner).where(conversations.c.id == id_)).scalar()
    if found is not None and found != owner:
        raise InputError(f"There is a conversation {id_} already; choose another id.", param="id")
    if found is None:
        _check(given)
        row = {"id": id_, "owner": owner, "created_at": now(), "updated_at": now()}
        tx.execute(sa.insert(conversations).values(**row, **given, touched=_next_touch(tx)))
        for kind in FOUND:
            if given.get(kind):
                search.index(tx, kind, id_, owner, id_, given[kind])
    return get(tx, owner, id_)


def get(tx: Connection, owner: str, id_: str, *, deleted: bool = False) -> Conversation:
    """The conversation; `NotFoundError` for one that is not there, deleted, or somebody else's."""
    query = sa.select(*_COLUMNS, _RUNNING, _WAITING).where(
        conversations.c.id == id_, conversations.c.owner == owner
    )
    row = tx.execute(query).one_or_none()
    if row is None or row.deleted_at == GOING or (row.deleted_at is not None and not deleted):
        raise NotFoundError(
            f"There is no conversation {id_[:40]!r}; it may have been deleted elsewhere.",
            param="conversation",
        )
    return Conversation(**row._mapping)


def listed(
    tx: Connection,
    owner: str,
    *,
    folder: str | None = None,
    after: str | None = None,
    limit: int = 50,
    deleted: bool = False,
) -> Page:
    """Pinned ones first, then those that changed last; only of a folder where one is named."""
    order = (conversations.c.pinned.desc(), conversations.c.touched.desc())
    query = sa.select(*_COLUMNS, _RUNNING, _WAITING).where(conversations.c.owner == owner)
    gone = conversations.c.deleted_at
    query = query.where(gone > GOING if deleted else gone.is_(None))
    if folder is not None:
        query = query.where(conversations.c.folder == folder)
    if after is not None:
        query = query.where(_behind(tx, owner, after))
    rows = tx.execute(query.order_by(*order).limit(limit + 1)).all()
    found = tuple(Conversation(**row._mapping) for row in rows[:limit])
    return Page(found, found[-1].id if len(rows) > limit else None)


def folders(tx: Connection, owner: str) -> tuple[str, ...]:
    """The owner's folders, in order of their names."""
    query = (
        sa.select(conversations.c.folder)
        .distinct()
        .where(
            conversations.c.owner == owner,
            conversations.c.deleted_at.is_(None),
            conversations.c.folder != "",
        )
    )
    return tuple(sorted(tx.execute(query).scalars()))


def rename_folder(tx: Connection, owner: str, folder: str, name: str) -> tuple[Conversation, ...]:
    """Moves a folder's conversations to another, "" for none. Gives those that are not deleted."""
    _check({"folder": name})
    inside = (conversations.c.owner == owner, conversations.c.folder == folder)
    gone = conversations.c.deleted_at
    stays = sa.or_(gone.is_(None), gone > GOING)
    rows = tx.execute(sa.select(*_COLUMNS, _RUNNING, _WAITING).where(*inside, stays)).all()
    tx.execute(
        sa.update(conversations)
        .where(*inside, stays)
        .values(folder=name, version=conversations.c.version + 1)
    )
    for row in rows:
        _find_anew(tx, owner, row.id, "folder", folder, name)
    found = (Conversation(**row._mapping) for row in rows if row.deleted_at is None)
    return tuple(replace(each, folder=name, version=each.version + 1) for each in found)


def change(tx: Connection, owner: str, id_: str, **changes: Any) -> Conversation:
    """Sets what is given: title, titled_by, folder, pinned, model, system, sampling, head.

    `allowed` can only lose tools: what a person allows is said where a reply asks.
    """
    before = get(tx, owner, id_)
    _check(changes)
    if any(each not in before.allowed for each in changes.get("allowed", ())):
        raise InputError(
            "allowed names a tool that is not allowed here. Tools can be taken away from it; they "
            "are allowed where a reply asks for consent.",
            param="allowed",
        )
    for kind in FOUND:
        if kind in changes:
            _find_anew(tx, owner, id_, kind, getattr(before, kind), changes[kind])
    count_change(tx, id_, **changes)
    return get(tx, owner, id_)


def allow(tx: Connection, owner: str, id_: str, model: str, tools: Sequence[str]) -> Conversation:
    """Lets a model use tools here without asking again."""
    known = list(get(tx, owner, id_).allowed)
    new = [{"model": model, "tool": tool} for tool in tools]
    count_change(tx, id_, allowed=[*known, *(each for each in new if each not in known)])
    return get(tx, owner, id_)


def _find_anew(tx: Connection, owner: str, id_: str, kind: str, old: str, new: str) -> None:
    if old == new:
        return
    search.unindex(tx, kind, id_, old)
    if new:
        search.index(tx, kind, id_, owner, id_, new)


def touch(tx: Connection, id_: str, head: str | None = None) -> None:
    """Something was said: it goes to the top of the list; `head` becomes the newest message."""
    values: dict[str, Any] = {"updated_at": now(), "touched": _next_touch(tx)}
    if head is not None:
        values["head"] = head
    count_change(tx, id_, **values)


def count_change(tx: Connection, id_: str, **values: Any) -> None:
    """Counts a change, and sets these columns: a page that comes back reads it anew."""
    tx.execute(
        sa.update(conversations)
        .where(conversations.c.id == id_)
        .values(**values, version=conversations.c.version + 1)
    )


def delete(tx: Connection, owner: str, id_: str) -> Conversation:
    """Deletes it, so that it can come back for `RETURNS_SECONDS`."""
    get(tx, owner, id_)
    count_change(tx, id_, deleted_at=now())
    return get(tx, owner, id_, deleted=True)


def restore(tx: Connection, owner: str, id_: str) -> Conversation:
    """Brings a deleted one back."""
    get(tx, owner, id_, deleted=True)
    count_change(tx, id_, deleted_at=None)
    return get(tx, owner, id_)


def _behind(tx: Connection, owner: str, after: str) -> sa.ColumnElement[bool]:
    last = get(tx, owner, after, deleted=True)
    touched = tx.execute(
        sa.select(conversations.c.touched).where(conversations.c.id == after)
    ).scalar_one()
    later = conversations.c.touched < touched
    if last.pinned:
        return sa.or_(conversations.c.pinned.is_(False), later)
    return sa.and_(conversations.c.pinned.is_(False), later)


def _next_touch(tx: Connection) -> int:
    """Grows with every change: the list keeps its order although clocks jump."""
    newest = tx.execute(sa.select(sa.func.max(conversations.c.touched))).scalar()
    return int(newest or 0) + 1


def _check(given: Mapping[str, Any]) -> None:
    for name, value in given.items():
        if isinstance(value, str) and "\0" in value:
            raise InputError(f"{name} has a NUL character; leave it out.", param=name)
    system = given.get("system") or ""
    if len(system) > LONGEST_SYSTEM:
        raise InputError(
            f"The system text has {len(system):,} characters; at most {LONGEST_SYSTEM:,} are kept. "
            "Shorten it, or attach it as a file.",
            param="system",
        )
