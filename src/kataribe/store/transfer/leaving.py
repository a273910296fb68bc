"""Export: a person's things as lines of one JSON document."""

from __future__ import annotations

import base64
import dataclasses
import json
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

import kataribe
from kataribe.base.errors import NotFoundError
from kataribe.store import facts, preferences, prompts
from kataribe.store.database import Store
from kataribe.store.ids import now
from kataribe.store.tables import (
    LIVE,
    attachments,
    conversations,
    job_log,
    jobs,
    messages,
    prompt_answers,
    queued,
    votes,
)
from kataribe.store.transfer import document
from kataribe.store.transfer.document import FORMAT, VERSION

_json = partial(json.dumps, ensure_ascii=False, separators=(",", ":"))


def exported(store: Store, owner: str) -> Iterator[bytes]:
    """The document, line by line: the longest conversation is what it takes of memory.

    Every conversation and job is as it was at one moment; the database is not held up in between.
    """
    with store.reading() as tx:
        set_ = preferences.read(tx, owner)
        known = [dataclasses.asdict(fact) for fact in reversed(facts.listing(tx, owner))]
        ids = tx.execute(
            sa.select(conversations.c.id)
            .where(conversations.c.owner == owner, conversations.c.deleted_at.is_(None))
            .order_by(conversations.c.touched, conversations.c.key)
        ).scalars()
        talks = list(ids)
        own = sa.select(jobs.c.id).where(jobs.c.owner == owner).order_by(jobs.c.key)
        works = list(tx.execute(own).scalars())
        kept = [prompt.id for prompt in reversed(prompts.listing(tx, owner))]
    begin = {"format": FORMAT, "version": VERSION, "made_at": now()}
    begin |= {"made_by": f"Kataribe {kataribe.__version__}", "preferences": set_, "facts": known}
    yield _bytes(_json(begin)[:-1])
    yield from _listed(',"conversations":[', _each(store, _talk, [(id_,) for id_ in talks]))
    files = ((id_, *file) for id_ in talks for file in _files_of(store, id_))
    yield from _listed('\n],"files":[', _each(store, _file, files))
    yield from _listed('\n],"jobs":[', _each(store, _job, [(id_,) for id_ in works]))
    lines = _each(store, partial(_prompt, owner=owner), [(id_,) for id_ in kept])
    yield from _listed('\n],"prompts":[', lines)
    yield b"\n]}\n"


def _each(store: Store, told: Callable[..., str], of: Iterable[tuple[str, ...]]) -> Iterator[str]:
    """What each thing is told as, whole: who reads slowly must not hold a connection."""
    for names in of:
        with store.reading() as tx:
            line = told(tx, *names)
        yield line


def _listed(begin: str, lines: Iterable[str]) -> Iterator[bytes]:
    """A list of the document, a line for each thing; empty ones are gone meanwhile."""
    yield _bytes(begin)
    comma = ""
    for line in lines:
        if line:
            yield _bytes(f"{comma}\n{line}")
            comma = ","


def _talk(tx: Connection, id_: str) -> str:
    """One conversation; "" where it was deleted meanwhile."""
    return "".join(_pieces(tx, id_))


def _pieces(tx: Connection, id_: str) -> Iterator[str]:
    fields = [name for name in document.Conversation.model_fields if name in conversations.c]
    columns = [conversations.c[name] for name in fields]
    row = tx.execute(
        sa.select(*columns).where(conversations.c.id == id_, conversations.c.deleted_at.is_(None))
    ).one_or_none()
    if row is None:
        return
    yield f'{_json(dict(row._mapping))[:-1]},"messages":['
    query = sa.select(*[messages.c[name] for name in document.Message.model_fields])
    query = query.where(messages.c.conversation == id_, messages.c.deleted_at.is_(None))
    for number, message in enumerate(tx.execute(query.order_by(messages.c.key))):
        told = dict(message._mapping)
        if told["state"] in LIVE:  # where it arrives, nobody goes on with it
            told["state"] = "interrupted"
        yield f"{',' if number else ''}{_json(told)}"
    waiting = _rows(tx, document.Waiting, queued, queued.c.place, id_)
    cast = _rows(tx, document.Vote, votes, votes.c.created_at, id_)
    yield f'],"queue":{_json(waiting)},"votes":{_json(cast)}}}'


def _rows(
    tx: Connection, shape: type[document.Strict], table: sa.Table, order: Any, id_: str
) -> list[dict[str, Any]]:
    query = sa.select(*[table.c[name] for name in shape.model_fields])
    rows = tx.execute(query.where(table.c.conversation == id_).order_by(order))
    return [dict(row._mapping) for row in rows]


def _files_of(store: Store, id_: str) -> list[tuple[str, str]]:
    """Files of a conversation: each with the message, or the waiting one, that it is beside."""
    with store.reading() as tx:
        query = (
            sa.select(attachments.c.id, attachments.c.message)
            .join(messages, messages.c.id == attachments.c.message)
            .where(messages.c.conversation == id_, messages.c.deleted_at.is_(None))
            .order_by(attachments.c.created_at, attachments.c.id)
        )
        found = [(row.id, row.message) for row in tx.execute(query)]
        waiting = tx.execute(
            sa.select(queued.c.id, queued.c.asked).where(queued.c.conversation == id_)
        )
        for item, asked in waiting:
            found += [(file, item) for file in asked.get("attachments", [])]
    return found


def _file(tx: Connection, conversation: str, id_: str, message: str) -> str:
    row = tx.execute(sa.select(attachments).where(attachments.c.id == id_)).one_or_none()
    if row is None:
        return ""
    told = {"id": id_, "conversation": conversation, "message": message, "name": row.name}
    told |= {"media_type": row.media_type, "created_at": row.created_at}
    return _json({**told, "data": base64.b64encode(row.data).decode()})


def _job(tx: Connection, id_: str) -> str:
    fields = [jobs.c[name] for name in document.Job.model_fields if name in jobs.c]
    row = tx.execute(sa.select(*fields).where(jobs.c.id == id_)).one_or_none()
    if row is None:
        return ""
    lines = sa.select(job_log.c.at, job_log.c.level, job_log.c.line).where(job_log.c.job == id_)
    log = [dict(line._mapping) for line in tx.execute(lines.order_by(job_log.c.key))]
    # A loss that was no number is one in its result, and in no JSON.
    return _json(json.loads(_json({**row._mapping, "log": log}), parse_constant=lambda _: None))


def _prompt(tx: Connection, id_: str, owner: str) -> str:
    """One prompt with its versions and answers; "" where it was deleted meanwhile."""
    try:
        prompt = prompts.get(tx, owner, id_)
    except NotFoundError:
        return ""
    told = {"id": id_, "name": prompt.name}
    versions = [
        {**_fields(document.PromptVersion, each), "answers": _answers(tx, each.id)}
        for each in prompts.versions(tx, owner, id_)
    ]
    times = {"created_at": prompt.created_at, "changed_at": prompt.changed_at}
    return _json({**told, **times, "versions": versions})


def _answers(tx: Connection, version: str) -> list[dict[str, Any]]:
    shape = document.PromptAnswer
    fields = [prompt_answers.c[name] for name in shape.model_fields if name != "conversation"]
    query = (
        sa.select(*fields, conversations.c.id.label("conversation"))
        .outerjoin(messages, messages.c.id == prompt_answers.c.message)
        .outerjoin(conversations, conversations.c.id == messages.c.conversation)
        .where(
            prompt_answers.c.version == version,
            # What was deleted is not in the file, and what hangs on it neither.
            messages.c.deleted_at.is_(None),
            conversations.c.deleted_at.is_(None),
        )
        .order_by(prompt_answers.c.key)
    )
    return [dict(row._mapping) for row in tx.execute(query)]


def _fields(shape: type[document.Strict], of: Any) -> dict[str, Any]:
    return {name: getattr(of, name) for name in shape.model_fields if hasattr(of, name)}


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "replace")
