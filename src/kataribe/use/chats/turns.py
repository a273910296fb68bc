"""The turns of a conversation: one state machine, each step one transaction.

A conversation is *pending* while replies are being written. What is said then waits in the queue.
When the replies have ended well, the first that waits becomes the next question. When one failed
or was stopped by hand, the queue waits for the person: a queue with nothing pending goes on with
the next thing that is said or asked for. So every state follows from the rows alone, and is the
same after a restart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from kataribe.base.errors import InputError, NotFoundError
from kataribe.store import conversations, journals, messages, queue, tables
from kataribe.store.asking import Answered, Retry, Said
from kataribe.store.attachments import in_queues, make_findable
from kataribe.store.conversations import Conversation
from kataribe.store.ids import check_id, new_id
from kataribe.store.messages import Message
from kataribe.store.queue import Item
from kataribe.use.chats.consent import answered, waiting_in
from kataribe.use.chats.titles import first_words
from kataribe.use.chats.values import Ended

LONGEST_TEXT = 2_000_000
"""Characters of one message: more than the context of any model that runs here."""


@dataclass(frozen=True, slots=True)
class Turn:
    """What a step did.

    Attributes:
        conversation: As it is afterwards.
        changed: Messages that are new or have changed.
        replies: Those among them that are to be written now.
        queue: What waits afterwards.
        became: The message or item that something sent became, "" for none.
    """

    conversation: Conversation
    changed: tuple[Message, ...]
    replies: tuple[Message, ...]
    queue: tuple[Item, ...]
    became: str = ""


def say(tx: Connection, owner: str, id_: str, said: Said, stopped: Mapping[str, Ended]) -> Turn:
    """Something is said.

    `stopped`: the replies that were stopped for it (`now`, `steer`), with their words.
    """
    conversation = conversations.get(tx, owner, id_)
    before = queue.seen(tx, check_id(said.id, "id"))
    if before is not None:
        return _said_before(tx, conversation, said.id, before)
    item = _checked(tx, owner, conversation, said)
    changed = _end(tx, owner, id_, stopped)
    if messages.live(tx, id_):
        queue.put(tx, id_, item)
        queue.note(tx, id_, said.id, said.id)
        conversations.touch(tx, id_)
        return _turn(tx, owner, id_, changed, (), said.id)
    queue.note(tx, id_, said.id, said.id)
    waiting = queue.waiting(tx, id_)
    if said.when == "steer":
        item = queue.join(tx, [*(queue.take(tx, id_, each.id) for each in waiting), item])
    elif said.when == "queue" and waiting:  # nothing overtakes what waits already
        first = queue.take(tx, id_, waiting[0].id)
        queue.put(tx, id_, item)
        item = first
    became = item.id if said.id in (item.id, *item.sources) else said.id
    question, replies = _ask(tx, owner, conversation, item)
    return _turn(tx, owner, id_, (*changed, question, *replies), replies, became)


def check(tx: Connection, owner: str, id_: str, said: Said) -> bool:
    """Raises what `say` would refuse, before anything is stopped; False: it was said before."""
    conversation = conversations.get(tx, owner, id_)
    if queue.seen(tx, check_id(said.id, "id")) is not None:
        return False
    item = _checked(tx, owner, conversation, said)
    if said.when == "steer":
        queue.merged([*queue.waiting(tx, id_), item])
    return True


def again(tx: Connection, owner: str, id_: str, retry: Retry) -> Turn:
    """Another reply to a question."""
    conversation = conversations.get(tx, owner, id_)
    before = queue.seen(tx, check_id(retry.id, "id"))
    if before is not None:
        return _said_before(tx, conversation, retry.id, before)
    if messages.live(tx, id_):
        raise InputError(
            "A reply is being written. Wait until it ends, or stop it, and ask again then.",
            param="message",
            code="reply_pending",
        )
    if "\0" in retry.beginning:
        raise InputError("beginning has a NUL character; leave it out.", param="beginning")
    _check_free(tx, retry.id)
    message = messages.get(tx, id_, retry.message)
    question = message if message.role == "user" else _above(tx, id_, message)
    model = retry.model or (message.model if message.role == "assistant" else None)
    asked = {
        **_asked(conversation, retry.sampling),
        **({"beginning": retry.beginning} if retry.beginning else {}),
    }
    reply = Message(
        retry.id,
        id_,
        question.id,
        "assistant",
        "waiting",
        text=retry.beginning,
        model=model or conversation.model,
        asked=asked,
    )
    added = messages.add(tx, owner, reply)
    queue.note(tx, id_, retry.id, retry.id)
    conversations.touch(tx, id_, added.id)
    return _turn(tx, owner, id_, (added,), (added,), retry.id)


def resumed(
    tx: Connection,
    owner: str,
    id_: str,
    reply: str,
    answers: Sequence[Answered],
    *,
    always: bool = False,
) -> Turn:
    """Answers to what a reply had asked when the process ended; with all of them it goes on."""
    conversations.get(tx, owner, id_)
    message = messages.get(tx, id_, reply)
    if message.state != "interrupted" or not message.consents:
        raise InputError(
            "This reply does not wait for consent any more: it was answered in another window, "
            "its time was over, or it was stopped.",
            param="message",
            code="not_waiting",
        )
    if messages.live(tx, id_):
        raise InputError(
            "Another reply is being written here. Wait until it ends, or stop it, and answer then.",
            param="message",
            code="reply_pending",
        )
    names = {call.id: call.name for call in waiting_in(message.consents)}
    rounds = answered(message.consents, answers)
    if always:
        tools = sorted({names[each.call] for each in answers if each.approved})
        conversations.allow(tx, owner, id_, message.model or "", tools)
        rest = [Answered(c.id, approved=True) for c in waiting_in(rounds) if c.name in tools]
        rounds = answered(rounds, rest, by="always")
    if waiting_in(rounds):
        messages.update(tx, reply, consents=rounds)
        conversations.touch(tx, id_)
        return _turn(tx, owner, id_, (messages.get(tx, id_, reply),), (), reply)
    goes_on = messages.reopen(tx, message, consents=rounds, state="waiting", finish=None)
    conversations.touch(tx, id_)
    return _turn(tx, owner, id_, (goes_on,), (goes_on,), reply)


def ended(
    tx: Connection, owner: str, id_: str, endings: Mapping[str, Ended], *, go_on: bool
) -> Turn:
    """Replies have ended; with `go_on`, and none pending any more, the next question is asked."""
    changed = _end(tx, owner, id_, endings)
    waiting = queue.waiting(tx, id_)
    conversation = conversations.get(tx, owner, id_, deleted=True)
    if not go_on or not waiting or messages.live(tx, id_) or conversation.deleted_at is not None:
        return _turn(tx, owner, id_, changed, ())
    question, replies = _ask(tx, owner, conversation, queue.take(tx, id_, waiting[0].id))
    return _turn(tx, owner, id_, (*changed, question, *replies), replies)


def answer_now(
    tx: Connection, owner: str, id_: str, items: Sequence[str], stopped: Mapping[str, Ended]
) -> Turn:
    """Waiting items become one question at once; the others go on waiting."""
    conversation = conversations.get(tx, owner, id_)
    taken = [queue.take(tx, id_, item) for item in items]
    changed = _end(tx, owner, id_, stopped)
    question, replies = _ask(tx, owner, conversation, queue.join(tx, taken))
    return _turn(tx, owner, id_, (*changed, question, *replies), replies)


def edit(tx: Connection, id_: str, item: str, text: str) -> None:
    """Changes what a waiting message says; beside a file it may say nothing."""
    before = queue.edit(tx, id_, item, text)
    check_text(text, files=bool(before.asked.get("attachments")))


def interrupted(tx: Connection, database: Path) -> int:
    """After a start of the process: replies that nobody writes any more keep their words."""
    pending = messages.live(tx)
    for reply in pending:
        owner = tx.execute(
            sa.select(tables.conversations.c.owner).where(
                tables.conversations.c.id == reply.conversation
            )
        ).scalar_one()
        told = journals.completed(database, reply)
        messages.finish(tx, owner, reply, state="interrupted", **told)
    return len(pending)


def replies_to(tx: Connection, question: str) -> tuple[str, ...]:
    """The ids of the replies to a question; of a reply, its own; none for what waits."""
    rows = tables.messages
    query = sa.select(rows.c.id).where(
        sa.or_(rows.c.parent == question, rows.c.id == question), rows.c.role == "assistant"
    )
    return tuple(tx.execute(query.order_by(rows.c.key)).scalars())


def check_text(text: str, *, files: bool = False) -> None:
    """Raises `InputError` for a text that cannot be said."""
    if "\0" in text:
        raise InputError("text has a NUL character; leave it out.", param="text")
    if len(text) > LONGEST_TEXT:
        raise InputError(
            f"The message has {len(text):,} characters; at most {LONGEST_TEXT:,} can be sent. "
            "Shorten it, or send it in several messages.",
            param="text",
        )
    if not text.strip() and not files:
        raise InputError(
            "The message has nothing but spaces. Write something, or attach a file.", param="text"
        )


def _checked(tx: Connection, owner: str, conversation: Conversation, said: Said) -> Item:
    check_text(said.text, files=bool(said.attachments))
    _check_free(tx, said.id)
    if said.parent is not None:
        messages.get(tx, conversation.id, said.parent)
    _check_files(tx, owner, said.attachments)
    asked = {
        "attachments": list(said.attachments),
        "models": list(said.models),
        "sampling": dict(said.sampling or {}),
        "parent": said.parent,
        "root": said.root,
        "blind": said.blind,
    }
    return Item(said.id, said.text, {name: value for name, value in asked.items() if value})


def _check_free(tx: Connection, id_: str) -> None:
    for table in (tables.messages, tables.queued):
        if tx.execute(sa.select(table.c.id).where(table.c.id == id_)).scalar() is not None:
            raise InputError(f"There is a message {id_} already; choose another id.", param="id")


def _check_files(tx: Connection, owner: str, files: Sequence[str]) -> None:
    if not files:
        return
    query = sa.select(tables.attachments.c.id).where(
        tables.attachments.c.id.in_(files),
        tables.attachments.c.owner == owner,
        tables.attachments.c.message.is_(None),
    )
    missing = set(files) - set(tx.execute(query).scalars())
    missing |= set(files) & in_queues(tx, owner)  # one file stands beside one message
    if missing:
        raise NotFoundError(
            f"There is no unsent attachment {min(missing)[:40]!r}; attach the file again.",
            param="attachments",
        )


def _said_before(
    tx: Connection, conversation: Conversation, id_: str, before: tuple[str, str]
) -> Turn:
    where, became = before
    if where != conversation.id:
        raise InputError(f"The id {id_} was sent to another conversation.", param="id")
    return _turn(tx, conversation.owner, conversation.id, (), (), became)


def _ask(
    tx: Connection, owner: str, conversation: Conversation, item: Item
) -> tuple[Message, tuple[Message, ...]]:
    """The question that an item becomes, and the replies to be written."""
    parent = None if item.asked.get("root") else _parent(tx, conversation, item)
    asked = {"sources": list(item.sources)} if item.sources else {}
    question = messages.add(
        tx,
        owner,
        Message(item.id, conversation.id, parent, "user", "sent", text=item.text, asked=asked),
    )
    for place, file in enumerate(item.asked.get("attachments", [])):
        tx.execute(
            sa.update(tables.attachments)
            .where(tables.attachments.c.id == file, tables.attachments.c.owner == owner)
            .where(tables.attachments.c.message.is_(None))
            .values(message=question.id, created_at=question.created_at + place * 1e-4)
        )
    make_findable(tx, owner, conversation.id, tables.attachments.c.message == question.id)
    names = list(item.asked.get("models", [])) or [conversation.model]
    asked_for = _asked(conversation, item.asked.get("sampling"))
    if len(names) > 1 and item.asked.get("blind"):
        asked_for["blind"] = True
    group = new_id() if len(names) > 1 else None
    replies = tuple(
        messages.add(
            tx,
            owner,
            Message(
                new_id(),
                conversation.id,
                question.id,
                "assistant",
                "waiting",
                model=name,
                group=group,
                asked=asked_for,
            ),
        )
        for name in names
    )
    if not conversation.title:  # until a model or a person finds a better one
        conversations.change(tx, owner, conversation.id, title=first_words(item.text))
    conversations.touch(tx, conversation.id, replies[0].id)
    return question, replies


def _asked(conversation: Conversation, sampling: Mapping[str, Any] | None) -> dict[str, Any]:
    """What a reply is asked for with, as it was in force then: the settings may change."""
    drawn = dict(sampling or conversation.sampling)
    # No system text is kept, too: looking inside, the later one must not stand in for it.
    return {**({"sampling": drawn} if drawn else {}), "system": conversation.system}


def _parent(tx: Connection, conversation: Conversation, item: Item) -> str | None:
    """Where the question goes: what it was said to follow, or the branch that is shown now."""
    wanted = item.asked.get("parent")
    if wanted is not None and messages.read(tx, conversation.id, [wanted]):
        return str(wanted)
    return conversations.get(tx, conversation.owner, conversation.id).head


def _above(tx: Connection, id_: str, reply: Message) -> Message:
    assert reply.parent is not None  # a reply answers something
    return messages.get(tx, id_, reply.parent)


def _end(tx: Connection, owner: str, id_: str, endings: Mapping[str, Ended]) -> tuple[Message, ...]:
    found = []
    for reply, ending in endings.items():
        message = messages.get(tx, id_, reply, deleted=True)
        if message.state in tables.LIVE:
            found.append(messages.finish(tx, owner, message, state=ending.state, **ending.fields))
    if found:
        conversations.touch(tx, id_)
    return tuple(each for each in found if each.deleted_at is None)


def _turn(
    tx: Connection,
    owner: str,
    id_: str,
    changed: Sequence[Message],
    replies: Sequence[Message],
    became: str = "",
) -> Turn:
    conversation = conversations.get(tx, owner, id_, deleted=True)
    return Turn(conversation, tuple(changed), tuple(replies), queue.waiting(tx, id_), became)
