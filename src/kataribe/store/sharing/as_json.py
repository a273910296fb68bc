"""A shared conversation as JSON, for programs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from kataribe.store.messages import Message
from kataribe.store.sharing.branch import Branch, File, Language, title_of

FORMAT = "kataribe-conversation"


def as_json(branch: Branch, language: Language) -> Iterator[str]:
    """The document, message by message."""
    talk = branch.conversation
    head = {
        "format": FORMAT,
        "version": 1,
        "title": title_of(branch, language),
        "model": talk.model,
        "system": talk.system,
        "sampling": dict(talk.sampling),
        "created_at": talk.created_at,
        "updated_at": talk.updated_at,
    }
    yield json.dumps(head, ensure_ascii=False)[:-1] + ', "messages": ['
    for number, message in enumerate(branch.messages):
        told = _message(message, branch.files.get(message.id, ()))
        yield ("," if number else "") + "\n" + json.dumps(told, ensure_ascii=False)
    yield "\n]}\n"


def _message(message: Message, files: tuple[File, ...]) -> dict[str, Any]:
    told: dict[str, Any] = {
        "role": message.role,
        "state": message.state,
        "text": message.text,
        "created_at": message.created_at,
    }
    if message.role == "assistant":
        told |= {"reasoning": message.reasoning, "model": message.model}
        told |= {"steps": list(message.steps), "consents": list(message.consents)}
    told["attachments"] = [_file(file) for file in files]
    return told


def _file(file: File) -> dict[str, Any]:
    told: dict[str, Any] = {"name": file.name, "media_type": file.media_type, "size": file.size}
    if file.data is not None and not file.media_type.startswith("image/"):
        told["text"] = file.data.decode("utf-8", "replace")
    return told
