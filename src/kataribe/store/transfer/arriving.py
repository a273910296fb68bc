"""Import: what an export holds becomes somebody's."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

import sqlalchemy as sa
from sqlalchemy import Connection

from kataribe.base.errors import InputError
from kataribe.store import attachments as files
from kataribe.store import facts, preferences, prompt_answers, prompts, search
from kataribe.store.conversations import FOUND
from kataribe.store.database import Store
from kataribe.store.facts import Fact
from kataribe.store.ids import now
from kataribe.store.jobs import OPEN
from kataribe.store.messages import FOUND as SAID
from kataribe.store.prompt_answers import Answer
from kataribe.store.search import Cut
from kataribe.store.tables import (
    attachments,
    conversations,
    job_log,
    jobs,
    messages,
    queued,
    seen_sends,
    votes,
)
from kataribe.store.tables import prompts as prompts_table
from kataribe.store.transfer.document import (
    Beginning,
    Conversation,
    File,
    Job,
    Prompt,
    PromptAnswer,
)
from kataribe.store.transfer.reading import check, check_prompt, file_data, parts

AT_A_TIME = 500
"""Ids in one query."""

_LETTERS = "0123456789abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True, slots=True)
class Arrived:
    """What an import brought; `skipped`: conversations that were here already."""

    conversations: int
    messages: int
    skipped: int
    jobs: int = 0
    prompts: int = 0


def imported(store: Store, owner: str, file: BinaryIO) -> Arrived:
    """Takes an export in, as things of `owner`.

    All of it is checked before any of it is kept. Then every conversation goes in by itself, so
    that nobody waits long for the database: what ends an import in the middle leaves whole
    conversations, and importing the same file again brings the others. Ids stay where they are
    free; a conversation that the owner has is skipped, and preferences that are set stay.

    Raises `InputError` for a file that is no export, damaged, or hostile.
    """
    _check_all(file)
    came = said = skipped = works = kept = 0
    for part in parts(file):
        if isinstance(part, Beginning):
            with store.writing() as tx:
                own = preferences.read(tx, owner)
                new = {name: value for name, value in part.preferences.items() if name not in own}
                preferences.change(tx, owner, new)
                facts.take_in(tx, owner, [Fact(**fact.model_dump()) for fact in part.facts])
        elif isinstance(part, Conversation):
            with store.reading() as tx:
                here = _id_here(tx, owner, part) is None
            # Cutting takes longest of all; others may write meanwhile.
            words = {} if here else _cut(part)
            with store.writing() as tx:
                added = not here and _add(tx, owner, part, words)
            came, skipped = came + added, skipped + (not added)
            said += len(part.messages) if added else 0
        elif isinstance(part, Job):
            with store.writing() as tx:
                works += _keep_job(tx, owner, part)
        elif isinstance(part, Prompt):
            with store.writing() as tx:
                kept += _keep_prompt(tx, owner, part)
        else:
            data = file_data(part)
            with store.writing() as tx:
                _attach(tx, owner, part, data)
    return Arrived(came, said, skipped, works, kept)


def _check_all(file: BinaryIO) -> None:
    ids: set[str] = set()
    places: dict[str, str] = {}
    for part in parts(file):
        if isinstance(part, Conversation):
            check(part)
            below = [*(each.id for each in part.messages), *(each.id for each in part.queue)]
            for id_ in (part.id, *below):
                if id_ in ids:
                    raise _twice(id_)
                ids.add(id_)
            places.update(dict.fromkeys(below, part.id))
        elif isinstance(part, File):
            file_data(part)
            if part.id in ids:
                raise _twice(part.id)
            ids.add(part.id)
            if places.get(part.message) != part.conversation:
                raise InputError(
                    f"The attachment {part.id} is beside the message {part.message}, which its "
                    f"conversation {part.conversation} does not have. Nothing was imported.",
                    param="body",
                    code="invalid_import",
                )
        elif isinstance(part, Job | Prompt):
            if part.id in ids:
                raise _twice(part.id)
            ids.add(part.id)
            if isinstance(part, Prompt):
                check_prompt(part)
                prompts.check_name(part.name)


def _twice(id_: str) -> InputError:
    return InputError(
        f"The id {id_} stands twice in the file. Nothing was imported. Export it again.",
        param="body",
        code="invalid_import",
    )


def _id_here(tx: Connection, owner: str, talk: Conversation) -> str | None:
    """The id that a conversation gets here; None where the owner has it."""
    row = tx.execute(
        sa.select(conversations.c.owner, conversations.c.deleted_at).where(
            conversations.c.id == talk.id
        )
    ).one_or_none()
    if row is None:
        return talk.id
    if row.owner == owner and row.deleted_at is None:
        return None
    # Somebody else's, or on its way out: it comes beside it, always under the same other id.
    id_ = _derived(owner, talk.id)
    return None if tx.scalar(sa.select(1).where(conversations.c.id == id_)) else id_


def _cut(talk: Conversation) -> Mapping[tuple[str, str], Cut]:
    """(id in the file, kind) -> all that a search finds of a conversation, as the index has it."""
    told = [(talk.id, kind, getattr(talk, kind)) for kind in FOUND]
    for message in talk.messages:
        told += [(message.id, kind, getattr(message, name)) for kind, name in SAID.items()]
    return {(id_, kind): Cut.of(text) for id_, kind, text in told if text}


def _add(
    tx: Connection, owner: str, talk: Conversation, words: Mapping[tuple[str, str], Cut]
) -> bool:
    """Puts a conversation in, unless the owner has it; `words`: of `_cut`."""
    id_ = _id_here(tx, owner, talk)
    if id_ is None:
        return False
    ids = _free(tx, id_, talk)
    plain = talk.model_dump(exclude={"messages", "queue", "votes"}, exclude_unset=True)
    plain |= {"id": id_, "owner": owner, "head": talk.head and ids[talk.head]}
    tx.execute(sa.insert(conversations).values(**plain, touched=_top(tx)))
    for start in range(0, len(talk.messages), AT_A_TIME):
        rows = []
        for message in talk.messages[start : start + AT_A_TIME]:
            told = message.model_dump(exclude_unset=True)
            told |= {"id": ids[message.id], "conversation": id_, "length": len(message.text)}
            # Older files have none; rows that go in together must have the same columns.
            told = {"steps": [], "consents": [], **told}
            rows.append(told | {"parent": message.parent and ids[message.parent]})
        tx.execute(sa.insert(messages), rows)
    for (ref, kind), cut in words.items():
        search.index(tx, kind, id_ if ref == talk.id else ids[ref], owner, id_, cut)
    _add_rest(tx, owner, id_, talk, ids)
    return True


def _add_rest(
    tx: Connection, owner: str, id_: str, talk: Conversation, ids: Mapping[str, str]
) -> None:
    """What waits in the conversation, and its votes."""
    for place, item in enumerate(talk.queue):
        told: dict[str, Any] = item.model_dump(exclude_unset=True) | {"id": ids[item.id]}
        asked = told["asked"]
        if item.asked.attachments:
            asked["attachments"] = [_derived(id_, file) for file in item.asked.attachments]
        if item.asked.parent:
            asked["parent"] = ids.get(item.asked.parent, item.asked.parent)
        tx.execute(sa.insert(queued).values(**told, conversation=id_, place=place))
    for vote in talk.votes:
        told = vote.model_dump() | {
            "id": _derived(id_, vote.id),
            "winner": vote.winner and ids.get(vote.winner, vote.winner),
            "shown": [ids.get(each, each) for each in vote.shown],
        }
        there = sa.select(1).where(votes.c.owner == owner, votes.c.group == vote.group)
        if not tx.scalar(there):
            tx.execute(sa.insert(votes).values(**told, owner=owner, conversation=id_))


def _attach(tx: Connection, owner: str, file: File, data: bytes) -> None:
    """Puts a file beside its message, where that came along and has it not yet."""
    found = _beside(tx, owner, file)
    if found is None:
        return
    conversation, message, sent = found
    # Under an id of its own: the file's may be somebody else's.
    id_ = _derived(conversation, file.id)
    if sent:
        there = sa.and_(attachments.c.id.in_([id_, file.id]), attachments.c.message == message)
    else:
        there = sa.and_(attachments.c.id == id_, attachments.c.owner == owner)
        asked = tx.scalar(sa.select(queued.c.asked).where(queued.c.id == message)) or {}
        if id_ not in asked.get("attachments", []):
            return  # it waits here since before this import, with its files as they are
    if tx.scalar(sa.select(1).where(there)):
        return
    kept = files.keep(tx, owner, file.name, data, file.media_type)
    values = {"id": id_, "created_at": file.created_at, "message": message if sent else None}
    tx.execute(sa.update(attachments).where(attachments.c.id == kept.id).values(**values))
    files.make_findable(tx, owner, conversation, attachments.c.id == id_)


def _beside(tx: Connection, owner: str, file: File) -> tuple[str, str, bool] | None:
    """The owner's conversation and message that a file is beside; whether it was sent already."""
    for conversation in (_derived(owner, file.conversation), file.conversation):
        mine = conversations.c.id == conversation, conversations.c.owner == owner
        if not tx.scalar(sa.select(1).where(*mine)):
            continue
        for message in (file.message, _derived(conversation, file.message)):
            for table in (messages, queued):
                here = table.c.id == message, table.c.conversation == conversation
                if tx.scalar(sa.select(1).where(*here)):
                    return conversation, message, table is messages
    return None


def _keep_job(tx: Connection, owner: str, job: Job) -> bool:
    """Keeps what is told of a job, unless it is here.

    Nothing does it again: what its `params` say was checked by another machine, or by nobody. So
    what was not done is cancelled here, with the reason.
    """
    row = tx.execute(sa.select(jobs.c.owner).where(jobs.c.id == job.id)).one_or_none()
    if row is not None and row.owner == owner:
        return False
    id_ = job.id if row is None else _derived(owner, job.id)
    if row is not None and tx.scalar(sa.select(1).where(jobs.c.id == id_)):
        return False
    told = job.model_dump(exclude={"log"}) | {"id": id_, "owner": owner}
    if job.state in OPEN:
        why = f"It was {job.state} where it was exported, and does not go on here. Begin it anew."
        told |= {"failure": {"code": "left_elsewhere", "message": why}, "ended_at": now()}
    if job.state != "done":
        told["state"] = "cancelled"
    tx.execute(sa.insert(jobs).values(**told))
    log = [{"job": id_, **line.model_dump()} for line in job.log]
    for start in range(0, len(log), AT_A_TIME):
        tx.execute(sa.insert(job_log), log[start : start + AT_A_TIME])
    return True


def _keep_prompt(tx: Connection, owner: str, prompt: Prompt) -> bool:
    """Keeps a prompt with its versions and answers, unless the owner has it."""
    owners = sa.select(prompts_table.c.owner, prompts_table.c.deleted_at)
    row = tx.execute(owners.where(prompts_table.c.id == prompt.id)).one_or_none()
    id_ = prompt.id
    if row is not None:
        if row.owner == owner and row.deleted_at is None:
            return False
        id_ = _derived(owner, prompt.id)  # somebody else's, or on its way out
        if tx.scalar(sa.select(1).where(prompts_table.c.id == id_)):
            return False
    name = _free_prompt_name(tx, owner, prompt.name)
    times = {"created_at": prompt.created_at, "changed_at": prompt.changed_at}
    latest = len(prompt.versions)
    tx.execute(
        sa.insert(prompts_table).values(id=id_, owner=owner, name=name, latest=latest, **times)
    )
    for version in prompt.versions:
        # Under ids of their own: the file's may be somebody else's.
        told = version.model_dump(exclude={"answers"}) | {"id": _derived(id_, version.id)}
        prompts.insert_version(tx, id_, prompts.Version(**told))
        for answer in version.answers:
            reply = _reply_here(tx, owner, answer)
            if answer.message is not None and reply is None:
                continue  # it answered in a conversation that did not come along
            told = answer.model_dump(exclude={"conversation"})
            told |= {"id": _derived(id_, answer.id), "message": reply}
            prompt_answers.insert(tx, _derived(id_, version.id), Answer(**told))
    return True


def _free_prompt_name(tx: Connection, owner: str, name: str) -> str:
    """The name, or the first one after it that the owner has no prompt of."""
    kept = prompts.normal_name(name)
    number = 1
    while prompts.named(tx, owner, kept) is not None:
        number += 1
        kept = f"{prompts.normal_name(name)[: prompts.LONGEST_NAME - 6]}-{number}"
    return kept


def _reply_here(tx: Connection, owner: str, answer: PromptAnswer) -> str | None:
    """The owner's reply that an answer is, under the id that it has here."""
    if answer.message is None or answer.conversation is None:
        return None
    for conversation in (_derived(owner, answer.conversation), answer.conversation):
        mine = conversations.c.id == conversation, conversations.c.owner == owner
        if not tx.scalar(sa.select(1).where(*mine)):
            continue
        for message in (answer.message, _derived(conversation, answer.message)):
            here = messages.c.id == message, messages.c.conversation == conversation
            if tx.scalar(sa.select(1).where(*here)):
                return message
    return None


def _top(tx: Connection) -> int:
    """Where a conversation stands that comes now: before all others."""
    return int(tx.scalar(sa.select(sa.func.max(conversations.c.touched))) or 0) + 1


def _free(tx: Connection, conversation: str, talk: Conversation) -> dict[str, str]:
    """The ids of messages and waiting ones: their own where nobody has them, else others."""
    wanted = [each.id for each in talk.messages] + [each.id for each in talk.queue]
    taken: set[str] = set()
    for start in range(0, len(wanted), AT_A_TIME):
        part = wanted[start : start + AT_A_TIME]
        for table in (messages, queued, seen_sends):
            taken.update(tx.execute(sa.select(table.c.id).where(table.c.id.in_(part))).scalars())
    return {id_: _derived(conversation, id_) if id_ in taken else id_ for id_ in wanted}


def _derived(beside: str, id_: str) -> str:
    """Another id, the same every time, so that importing twice finds what came before."""
    number = int.from_bytes(hashlib.sha256(f"{beside}/{id_}".encode()).digest()[:16])
    letters = []
    for _ in range(20):
        number, letter = divmod(number, 36)
        letters.append(_LETTERS[letter])
    return "".join(letters)
