"""The shown branch of a conversation, as the files of all forms tell it."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import sqlalchemy as sa
from sqlalchemy import Connection

from kataribe.store import attachments, conversations, messages
from kataribe.store.conversations import Conversation
from kataribe.store.messages import Message
from kataribe.store.tables import attachments as attachments_table

Language = Literal["en", "ja"]

MOST_FILES = 20 * 1024**2
"""Bytes of attachments that are put into a shared file; the others are only named."""


@dataclass(frozen=True, slots=True)
class File:
    """An attachment; `data` is None where there was no room for it."""

    name: str
    media_type: str
    size: int
    data: bytes | None


@dataclass(frozen=True, slots=True)
class Branch:
    """What is shared: the messages oldest first, and the files beside them by message."""

    conversation: Conversation
    messages: tuple[Message, ...]
    files: Mapping[str, tuple[File, ...]]


WORDS: Mapping[Language, Mapping[str, str]] = {
    "en": {
        "untitled": "Conversation",
        "user": "You",
        "assistant": "Reply",
        "system": "System text",
        "reasoning": "Reasoning",
        "steps": "Steps",
        "allowed": "Consent given",
        "refused": "Consent refused",
        "model": "Model",
        "began": "Began",
        "file": "Attachment",
        "left_out": "not included: too large",
        "stopped": "This reply was stopped before its end.",
        "failed": "This reply broke off.",
        "interrupted": "This reply was interrupted when the server ended.",
        "waiting": "This reply had not begun yet.",
        "writing": "This reply was still being written.",
        "made": "Exported from Kataribe",
    },
    "ja": {
        "untitled": "会話",
        "user": "あなた",
        "assistant": "返答",
        "system": "システム文",
        "reasoning": "思考",
        "steps": "途中の手順",
        "allowed": "実行を許可",
        "refused": "実行を拒否",
        "model": "モデル",
        "began": "開始",
        "file": "添付ファイル",
        "left_out": "大きいため含まれていません",
        "stopped": "この返答は途中で停止されました。",
        "failed": "この返答は途中で失敗しました。",
        "interrupted": "この返答はサーバーの終了により中断されました。",
        "waiting": "この返答はまだ始まっていませんでした。",
        "writing": "この返答はまだ書いている途中でした。",
        "made": "Kataribe から書き出しました",
    },
}


def branch(tx: Connection, owner: str, conversation: str) -> Branch:
    """The branch that is shown; `NotFoundError` where the owner has no such conversation."""
    found = conversations.get(tx, owner, conversation)
    ids = messages.path(messages.nodes(tx, conversation), found.head)
    beside = attachments.of_messages(tx, ids)
    room = MOST_FILES
    files: dict[str, tuple[File, ...]] = {}
    for message in ids:
        for one in beside.get(message, ()):
            data = _data(tx, one.id) if one.size <= room else None
            room -= one.size if data is not None else 0
            file = File(one.name, one.media_type, one.size, data)
            files[message] = (*files.get(message, ()), file)
    return Branch(found, messages.read(tx, conversation, ids), files)


def title_of(branch: Branch, language: Language) -> str:
    """The title in one line."""
    title = re.sub(r"\s+", " ", branch.conversation.title).strip()
    return title or WORDS[language]["untitled"]


def steps_of(message: Message, language: Language) -> list[str]:
    """What was done for a reply, and what its person allowed: a line each."""
    words = WORDS[language]
    lines = [f"{each['name']}: {each['line']}" for each in message.steps if each["name"] != "tree"]
    for round_ in message.consents:
        for call in round_["calls"]:
            answer = round_["answers"].get(call["id"])
            if answer is not None:
                said = words["allowed" if answer["approved"] else "refused"]
                why = f" ({answer['why']})" if answer["why"] else ""
                lines.append(f"{said}: {call['name']} {call['arguments']}{why}")
    return [re.sub(r"\s+", " ", line).strip() for line in lines]


def shown_time(at: float) -> str:
    """A time of day for readers anywhere."""
    try:
        return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(at))
    except (OverflowError, ValueError, OSError):  # a clock that stood far off
        return "-"


def _data(tx: Connection, id_: str) -> bytes:
    data: bytes = tx.execute(
        sa.select(attachments_table.c.data).where(attachments_table.c.id == id_)
    ).scalar_one()
    return data
