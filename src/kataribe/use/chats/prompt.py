"""What a model is given: the branch up to a question, with the files beside it."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy import Connection

from kataribe.base.messages import ImagePart, Message, Part, Role, TextPart
from kataribe.store import attachments, messages, tables
from kataribe.store.attachments import Attachment
from kataribe.store.conversations import Conversation
from kataribe.store.sharing.as_markdown import fenced


def prompt_messages(
    tx: Connection, conversation: Conversation, question: str
) -> tuple[Message, ...]:
    """The system text and the branch down to `question`, as messages.

    Replies without a word are left out, and what a person said around them becomes one turn: many
    chat templates refuse two turns of one side in a row.
    """
    branch = messages.branch(tx, conversation.id, question)
    files = attachments.of_messages(tx, [m.id for m in branch if m.role == "user"])
    turns: list[tuple[Role, list[Part]]] = []
    if conversation.system.strip():
        turns.append(("system", [TextPart(conversation.system)]))
    for message in branch:
        if message.role == "assistant":
            if message.text:
                _add(turns, "assistant", [TextPart(message.text)])
        else:
            _add(turns, "user", _question(tx, message, files.get(message.id, ())))
    return tuple(Message(role, tuple(parts)) for role, parts in turns)


def _add(turns: list[tuple[Role, list[Part]]], role: Role, parts: Sequence[Part]) -> None:
    if not turns or turns[-1][0] != role:
        turns.append((role, list(parts)))
        return
    before = turns[-1][1]
    if isinstance(before[-1], TextPart) and parts and isinstance(parts[0], TextPart):
        before[-1] = TextPart(f"{before[-1].text}\n\n{parts[0].text}")
        parts = parts[1:]
    before.extend(parts)


def _question(tx: Connection, message: messages.Spoken, files: Sequence[Attachment]) -> list[Part]:
    texts: list[str] = []
    images: list[Part] = []
    for file in files:
        data = tx.execute(sa.select(tables.attachments.c.data).filter_by(id=file.id)).scalar_one()
        if file.media_type.startswith("image/"):
            images.append(ImagePart(file.media_type, data))
        else:
            texts.append(_file(file.name, data.decode("utf-8")))
    return [TextPart("\n\n".join([*texts, message.text])), *images]


def _file(name: str, text: str) -> str:
    """A file as models have seen files in their training: its name, and a fence around it."""
    return f"{name}:\n{fenced(text)}"
