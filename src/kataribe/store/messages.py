"""Messages as rows of a tree: what a person said, and the replies."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from kataribe.base.errors import InputError, NotFoundError
from kataribe.store import search
from kataribe.store.conversations import count_change
from kataribe.store.ids import now
from kataribe.store.tables import GOING, LIVE, conversations, messages

AT_A_TIME = 500
"""Ids in one query; SQLite takes more, but its planner slows down."""


@dataclass(frozen=True, slots=True)
class Message:
    """A message in full; the fields are those of the table."""

    id: str
    conversation: str
    parent: str | None
    role: str
    state: str
    text: str = ""
    reasoning: str = ""
    model: str | None = None
    group: str | None = None
    asked: Mapping[str, Any] = field(default_factory=dict)
    finish: str | None = None
    detail: str = ""
    failure: Mapping[str, Any] | None = None
    prompt_tokens: int | None = None
    cached_tokens: int | None = None
    completion_tokens: int | None = None
    first_after: float | None = None
    took: float | None = None
    rating: int = 0
    remark: str = ""
    created_at: float = 0.0
    deleted_at: float | None = None
    steps: Sequence[Mapping[str, Any]] = ()
    consents: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True, slots=True)
class Node:
    """A message's place in the tree; `length` in characters."""

    id: str
    parent: str | None
    role: str
    length: int


@dataclass(frozen=True, slots=True)
class Spoken:
    """The words of a message."""

    id: str
    role: str
    text: str


FOUND = {"message": "text", "thought": "reasoning", "remark": "remark"}
"""What a search finds: kind in the index of words -> column."""

_COLUMNS = [messages.c[name] for name in Message.__dataclass_fields__]


def add(tx: Connection, owner: str, message: Message) -> Message:
    """Puts a message below its parent, which must belong to the same conversation."""
    if message.parent is not None:
        get(tx, message.conversation, message.parent)
    values = {name: getattr(message, name) for name in Message.__dataclass_fields__}
    values["created_at"] = message.created_at or now()
    values["length"] = len(message.text)
    values |= {"steps": list(message.steps), "consents": list(message.consents)}
    tx.execute(sa.insert(messages).values(**values))
    if message.state not in LIVE:  # `finish` puts in what is still written
        _find(tx, owner, message)
    return get(tx, message.conversation, message.id)


def get(tx: Connection, conversation: str, id_: str, *, deleted: bool = False) -> Message:
    """A message of this conversation; `NotFoundError` where there is none."""
    query = sa.select(*_COLUMNS).where(
        messages.c.id == id_, messages.c.conversation == conversation
    )
    row = tx.execute(query).one_or_none()
    if row is None or row.deleted_at == GOING or (row.deleted_at is not None and not deleted):
        raise NotFoundError(
            f"There is no message {id_[:40]!r} in this conversation; it may have been deleted.",
            param="message",
        )
    return Message(**row._mapping)


def update(tx: Connection, id_: str, **changes: Any) -> None:
    """Sets columns of a message. Words change here without their index: `finish` puts them in."""
    if "text" in changes:
        changes["length"] = len(changes["text"])
    tx.execute(sa.update(messages).where(messages.c.id == id_).values(**changes))


def finish(tx: Connection, owner: str, message: Message, **changes: Any) -> Message:
    """The last change of a reply: its words can be found from now on."""
    update(tx, message.id, **changes)
    ended = get(tx, message.conversation, message.id, deleted=True)
    if ended.deleted_at is None:
        _find(tx, owner, ended)
    return ended


def reopen(tx: Connection, message: Message, **changes: Any) -> Message:
    """A reply that had ended is written on: `finish` puts its words into the index again."""
    for kind in ("message", "thought"):
        search.unindex(tx, kind, message.id, getattr(message, FOUND[kind]))
    update(tx, message.id, **changes)
    return get(tx, message.conversation, message.id)


def _find(tx: Connection, owner: str, message: Message) -> None:
    """Makes the words of a message that is new, or has ended, findable."""
    for kind in ("message", "thought"):
        if words := getattr(message, FOUND[kind]):
            search.index(tx, kind, message.id, owner, message.conversation, words)


def read(tx: Connection, conversation: str, ids: Sequence[str]) -> tuple[Message, ...]:
    """The messages of these ids, in their order; those that are gone are left out."""
    found: dict[str, Message] = {}
    for start in range(0, len(ids), AT_A_TIME):
        query = sa.select(*_COLUMNS).where(
            messages.c.id.in_(ids[start : start + AT_A_TIME]),
            messages.c.conversation == conversation,
            messages.c.deleted_at.is_(None),
        )
        found.update((row.id, Message(**row._mapping)) for row in tx.execute(query))
    return tuple(found[id_] for id_ in ids if id_ in found)


def nodes(tx: Connection, conversation: str) -> tuple[Node, ...]:
    """The whole tree without words, oldest first."""
    query = (
        sa.select(
            messages.c.id,
            messages.c.parent,
            messages.c.role,
            messages.c.length,
        )
        .where(messages.c.conversation == conversation, messages.c.deleted_at.is_(None))
        .order_by(messages.c.key)
    )
    return tuple(Node(*row) for row in tx.execute(query))


def path(nodes: Iterable[Node], to: str | None) -> list[str]:
    """The ids of the branch that ends at `to`, oldest first."""
    parents = {node.id: node.parent for node in nodes}
    found: list[str] = []
    while to is not None and to in parents:
        found.append(to)
        to = parents[to]
    return found[::-1]


def branch(tx: Connection, conversation: str, to: str) -> tuple[Spoken, ...]:
    """What was said on the branch that ends at `to`, oldest first; without all else, for speed."""
    here = messages.c.conversation == conversation, messages.c.deleted_at.is_(None)
    above = (
        sa.select(messages.c.key, messages.c.parent, sa.literal(0).label("depth"))
        .where(messages.c.id == to, *here)
        .cte("above", recursive=True)
    )
    above = above.union_all(
        sa.select(messages.c.key, messages.c.parent, above.c.depth + 1)
        .join(above, messages.c.id == above.c.parent)
        .where(*here)
    )
    query = (
        sa.select(messages.c.id, messages.c.role, messages.c.text)
        .join(above, messages.c.key == above.c.key)
        .order_by(above.c.depth.desc())
    )
    return tuple(Spoken(*row) for row in tx.execute(query))


def newest_below(nodes: Iterable[Node], id_: str) -> str:
    """The end of the branch through a message that was written to last."""
    newest = {node.parent: node.id for node in nodes}  # the last child of each wins
    while id_ in newest:
        id_ = newest[id_]
    return id_


def live(tx: Connection, conversation: str | None = None) -> tuple[Message, ...]:
    """Replies that are pending, of one conversation or of all."""
    query = sa.select(*_COLUMNS).where(messages.c.state.in_(LIVE))
    if conversation is not None:
        query = query.where(messages.c.conversation == conversation)
    return tuple(Message(**row._mapping) for row in tx.execute(query.order_by(messages.c.key)))


def group(tx: Connection, conversation: str, name: str) -> tuple[Message, ...]:
    """The replies that were asked for side by side."""
    query = sa.select(*_COLUMNS).where(
        messages.c.conversation == conversation,
        messages.c.group == name,
        messages.c.deleted_at.is_(None),
    )
    return tuple(Message(**row._mapping) for row in tx.execute(query.order_by(messages.c.key)))


def rate(
    tx: Connection, owner: str, conversation: str, id_: str, rating: int, remark: str
) -> Message:
    """A thumb (-1, 0, 1) and a remark on a reply."""
    message = get(tx, conversation, id_)
    if message.role != "assistant":
        raise InputError("Only replies are rated; this is what a person said.", param="message")
    search.unindex(tx, "remark", id_, message.remark)
    if remark:
        search.index(tx, "remark", id_, owner, conversation, remark)
    update(tx, id_, rating=rating, remark=remark)
    count_change(tx, conversation)
    return get(tx, conversation, id_)


def delete(tx: Connection, conversation: str, id_: str) -> tuple[str, ...]:
    """Deletes a message with all below it, so that it can come back; gives their ids."""
    get(tx, conversation, id_)
    gone = with_all_below(nodes(tx, conversation), id_)
    # What is deleted together comes back together: no two deletions share a time.
    last = tx.execute(
        sa.select(sa.func.max(messages.c.deleted_at)).where(messages.c.conversation == conversation)
    ).scalar()
    stamp = max(now(), (last or 0.0) + 1e-3)
    for start in range(0, len(gone), AT_A_TIME):
        part = gone[start : start + AT_A_TIME]
        tx.execute(sa.update(messages).where(messages.c.id.in_(part)).values(deleted_at=stamp))
    head = tx.execute(
        sa.select(conversations.c.head).where(conversations.c.id == conversation)
    ).scalar()
    if head in set(gone):
        _move_head(tx, conversation, id_)
    return tuple(gone)


def restore(tx: Connection, conversation: str, id_: str) -> tuple[str, ...]:
    """Brings back what was deleted together with a message; gives their ids."""
    message = get(tx, conversation, id_, deleted=True)
    if message.deleted_at is None:
        return ()
    if message.parent is not None:
        get(tx, conversation, message.parent)  # what is above must be there
    query = (
        sa.select(messages.c.id)
        .where(messages.c.conversation == conversation)
        .where(messages.c.deleted_at == message.deleted_at)
        .order_by(messages.c.key)
    )
    back = tuple(tx.execute(query).scalars())
    tx.execute(
        sa.update(messages)
        .where(messages.c.conversation == conversation)
        .where(messages.c.deleted_at == message.deleted_at)
        .values(deleted_at=None)
    )
    head = newest_below(nodes(tx, conversation), id_)
    count_change(tx, conversation, head=head)
    return back


def with_all_below(tree: Iterable[Node], id_: str) -> list[str]:
    """The ids of a message and of all below it, in a tree with its oldest first."""
    found = {id_}
    for node in tree:  # oldest first, so a parent is seen before what is below it
        if node.parent in found:
            found.add(node.id)
    return sorted(found)


def _move_head(tx: Connection, conversation: str, gone: str) -> None:
    """What is shown ends beside the deleted message where it has neighbours, else above it."""
    parent = get(tx, conversation, gone, deleted=True).parent
    tree = nodes(tx, conversation)
    beside = [node.id for node in tree if node.parent == parent]
    head = newest_below(tree, beside[-1]) if beside else parent
    tx.execute(sa.update(conversations).where(conversations.c.id == conversation).values(head=head))
