"""Which version of a prompt has answered what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from kataribe.base.errors import InputError, NotFoundError
from kataribe.store.ids import new_id, now
from kataribe.store.prompts import get, version
from kataribe.store.tables import (
    conversations,
    messages,
    prompt_answers,
    prompt_versions,
)

MOST = 1000
"""Answers that are kept of one prompt; the oldest go when there are more."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a version was answered with.

    Attributes:
        model: Who has answered.
        text: The answer; of a reply in a conversation, this and the like is as it stands there.
        finish: Why it ended.
        detail: The line beside the reason.
        given: Values of the variables.
        technique: `name` and `options`; None where it was asked as it is.
        prompt_tokens: Read, with all inner calls; None where nobody knows.
        cached_tokens: Of these, out of a cache.
        completion_tokens: Drawn.
        took: Seconds to the end.
        message: The reply of a conversation that this is; None for one of its own.
        conversation: In which that reply stands.
        number: Of the version.
        id: Its name.
        created_at: Seconds since 1970.
        key: Orders answers as they came.
    """

    model: str
    text: str
    finish: str
    detail: str = ""
    given: Mapping[str, str] = field(default_factory=dict)
    technique: Mapping[str, Any] | None = None
    prompt_tokens: int | None = None
    cached_tokens: int | None = None
    completion_tokens: int | None = None
    took: float | None = None
    message: str | None = None
    conversation: str | None = None
    number: int = 0
    id: str = ""
    created_at: float = 0.0
    key: int = 0


_FIELDS = (
    "model", "text", "finish", "detail", "technique", "prompt_tokens", "cached_tokens",
    "completion_tokens", "took", "message", "id", "created_at",
)  # fmt: skip
_OF_REPLIES = (
    "model", "text", "finish", "detail", "prompt_tokens", "cached_tokens", "completion_tokens",
    "took",
)  # fmt: skip
"""What the reply of a conversation says of itself."""


def keep(tx: Connection, owner: str, prompt: str, number: int, answer: Answer) -> Answer:
    """Keeps an answer to a version. Raises `NotFoundError` for a prompt or version that is not."""
    of = version(tx, owner, prompt, number)
    kept = replace(answer, number=of.number, id=new_id(), created_at=now())
    insert(tx, of.id, kept)
    own = sa.select(prompt_versions.c.id).where(prompt_versions.c.prompt == prompt)
    mine = prompt_answers.c.version.in_(own)
    # What falls out is beyond the newest so many, whichever versions they belong to.
    newest = sa.select(prompt_answers.c.key).where(mine).order_by(prompt_answers.c.key.desc())
    last = tx.scalar(newest.offset(MOST).limit(1))
    if last is not None:
        tx.execute(sa.delete(prompt_answers).where(mine, prompt_answers.c.key <= last))
    return kept


def link(tx: Connection, owner: str, prompt: str, number: int, message: str) -> Answer:
    """Notes that a reply in a conversation of the person answers a version; once, however often.

    Raises `NotFoundError` where the person has no such reply, and `InputError` for a message that
    is no reply.
    """
    of = version(tx, owner, prompt, number)
    row = tx.execute(
        sa.select(messages.c.role, messages.c.model)
        .join(conversations, conversations.c.id == messages.c.conversation)
        .where(
            messages.c.id == message,
            messages.c.deleted_at.is_(None),
            conversations.c.owner == owner,
            conversations.c.deleted_at.is_(None),
        )
    ).one_or_none()
    if row is None:
        raise NotFoundError(f"There is no reply {message[:60]!r}.", param="message")
    if row.role != "assistant":
        raise InputError(
            "A prompt is answered by a reply, and this message is a person's. Name the reply to "
            "it.",
            param="message",
        )
    there = prompt_answers.c.version == of.id, prompt_answers.c.message == message
    if tx.scalar(sa.select(1).where(*there)) is None:
        keep(tx, owner, prompt, number, Answer(row.model or "", "", "", message=message))
    return listing(tx, owner, prompt, message=message)[0]


def listing(
    tx: Connection,
    owner: str,
    prompt: str,
    *,
    number: int | None = None,
    message: str | None = None,
    before: int | None = None,
    limit: int = 50,
) -> list[Answer]:
    """The answers to a prompt, newest first.

    Args:
        tx: A transaction.
        owner: Whose prompt it is.
        prompt: Its id.
        number: Only of this version.
        message: Only this reply of a conversation.
        before: Only those that came before the answer with this key.
        limit: Most of them.
    """
    get(tx, owner, prompt)
    said = [messages.c[name].label(f"reply_{name}") for name in _OF_REPLIES]
    talk = conversations.c.id == messages.c.conversation
    is_there = sa.or_(
        prompt_answers.c.message.is_(None),
        sa.and_(messages.c.deleted_at.is_(None), conversations.c.deleted_at.is_(None)),
    )
    query = (
        sa.select(prompt_answers, prompt_versions.c.number, messages.c.conversation, *said)
        .join(prompt_versions, prompt_versions.c.id == prompt_answers.c.version)
        .outerjoin(messages, messages.c.id == prompt_answers.c.message)
        .outerjoin(conversations, talk)
        .where(prompt_versions.c.prompt == prompt, is_there)
        .order_by(prompt_answers.c.key.desc())
        .limit(limit)
    )
    if number is not None:
        version(tx, owner, prompt, number)
        query = query.where(prompt_versions.c.number == number)
    if message is not None:
        query = query.where(prompt_answers.c.message == message)
    if before is not None:
        query = query.where(prompt_answers.c.key < before)
    return [_answer(row) for row in tx.execute(query)]


def insert(tx: Connection, version_id: str, answer: Answer) -> None:
    """Keeps an answer as it is, under its own id."""
    told = {name: getattr(answer, name) for name in _FIELDS}
    told["technique"] = None if answer.technique is None else dict(answer.technique)
    if answer.message is not None:
        told["text"] = ""  # it stands in the conversation, and goes with it
    tx.execute(
        sa.insert(prompt_answers).values(**told, version=version_id, given=dict(answer.given))
    )


def _answer(row: sa.Row[Any]) -> Answer:
    found = row._mapping
    told = {name: found[name] for name in _FIELDS}
    if row.message is not None:
        told |= {name: found[f"reply_{name}"] for name in _OF_REPLIES}
        told |= {"model": row.reply_model or row.model, "finish": row.reply_finish or ""}
    place = {"conversation": row.conversation, "number": row.number, "key": row.key}
    return Answer(**told, **place, given=row.given)
