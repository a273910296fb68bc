"""Titles made by the model that answered."""

from __future__ import annotations

import re

from sqlalchemy import Connection

from kataribe.base.abilities import check_abilities
from kataribe.base.errors import KataribeError
from kataribe.base.lm import RegexFormat, Request, Sampling, reply
from kataribe.base.messages import text_message, text_of
from kataribe.store import conversations, messages
from kataribe.store.conversations import Conversation
from kataribe.store.database import Store
from kataribe.store.messages import Message
from kataribe.use.chats.values import Models

LONGEST = 60
"""Characters of a title: what a list shows in one line."""

ASKING = (
    "Write a title for this conversation: at most six words, in the language of the question, "
    "no quotation marks, nothing else."
)

FORM = RegexFormat(r"[^\s\"'*#`「」][^\n\"*#`「」]{2,58}[^\s\"'*#`「」.。]")
"""One line without decoration; models that can be held to a form are."""

_PART = 600
"""Characters of question and reply that a title is made from."""


def first_words(question: str) -> str:
    """A title before there is one: the beginning of the first question."""
    line = re.sub(r"\s+", " ", question).strip()
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 1].rstrip()}…"


async def make_title(store: Store, models: Models, conversation: str, reply: str) -> str | None:
    """A title from a reply and its question, by the model that answered."""

    def look(tx: Connection) -> tuple[str, Message]:
        answer = messages.get(tx, conversation, reply)
        assert answer.parent is not None  # a reply answers something
        return messages.get(tx, conversation, answer.parent).text, answer

    question, answer = await store.read(look)
    if answer.model is None:
        return None
    return await title_of(models, answer.model, question, answer.text)


async def title_of(models: Models, model: str, question: str, answer: str) -> str | None:
    """A title by the model; None where it made none that can be shown."""
    talk = f"{question[:_PART]}\n\n{answer[:_PART]}"
    messages = (text_message("user", f"{talk}\n\n---\n{ASKING}"),)
    sampling = Sampling(temperature=0.0, max_tokens=24)
    try:
        async with models.lease(model) as lm:
            request = Request(messages, sampling=sampling)
            if lm.capabilities.structured_output:
                request = Request(messages, sampling=sampling, response_format=FORM)
            check_abilities(lm.name, lm.capabilities, request)
            said = text_of((await reply(lm, request)).message)
    except KataribeError:
        return None  # the first words of the question stand instead
    return cleaned(said)


def cleaned(said: str) -> str | None:
    """What a model said as a title, or None for something that is none."""
    line = next((line for line in said.strip().splitlines() if line.strip()), "")
    line = re.sub(r"^(title|タイトル|題名)\s*[:：]\s*", "", line.strip(), flags=re.IGNORECASE)
    line = line.strip(" \"'*#`「」『』“”.。").strip()
    return line[:LONGEST] if len(line) >= 2 else None


def keep_title(tx: Connection, owner: str, id_: str, title: str) -> Conversation:
    """Sets a model's title, unless a person was quicker."""
    found = conversations.get(tx, owner, id_)
    if found.titled_by is not None:
        return found
    return conversations.change(tx, owner, id_, title=title, titled_by="model")
