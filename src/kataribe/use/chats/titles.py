"""Titles made by the model that answered; of an assistant, by its model alone."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeAlias

from sqlalchemy import Connection

from kataribe.base.abilities import check_abilities
from kataribe.base.errors import KataribeError
from kataribe.base.lm import Context, Request, Sampling, reply
from kataribe.base.messages import Role, text_message, text_of
from kataribe.store import conversations, messages
from kataribe.store.conversations import Conversation
from kataribe.store.database import Store
from kataribe.use.chats.values import Models

Plain: TypeAlias = Callable[[str], str | None]
"""From the name of who answers to the model alone behind it."""

LONGEST = 60
"""Characters of a title: what a list shows in one line."""

ASKING = "Give each message a short title of two to six words, in its language. Only the title."

EXAMPLES = (
    ("Can you tell me which mountain in Africa is the tallest?", "Tallest mountain in Africa"),
    ("パンを家で焼く方法を教えてください。", "家でのパンの焼き方"),
    ("Write a Rust function that counts the words of a file.", "Counting words in Rust"),
)
"""Small models do as they are shown; told only, they repeat what they are told."""

_ROLES: tuple[Role, Role] = ("user", "assistant")

MOST_WORDS = 8
"""With more it is an answer, not a title."""

_PART = 600
"""Characters of the question that a title is made from."""


def first_words(question: str) -> str:
    """A title before there is one: the beginning of the first question."""
    line = re.sub(r"\s+", " ", question).strip()
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 1].rstrip()}…"


def itself(name: str) -> str | None:
    """Where there are no assistants, who answers is the model."""
    return name


async def make_title(
    store: Store, who: tuple[Models, Plain], owner: str, conversation: str, reply: str
) -> str | None:
    """A title for the question of a reply, by the model that answered it.

    An assistant would act with its tools, think in its technique and answer as its system text
    says; so the model behind it is asked, and nothing of what is around it.
    """

    def look(tx: Connection) -> tuple[str, str | None]:
        answer = messages.get(tx, conversation, reply)
        assert answer.parent is not None  # a reply answers something
        return messages.get(tx, conversation, answer.parent).text, answer.model

    models, plain = who
    question, answered = await store.read(look)
    model = None if answered is None else plain(answered)
    context = Context(user=owner, conversation=conversation)
    return None if model is None else await title_of(models, model, question, context)


async def title_of(
    models: Models, model: str, question: str, context: Context | None = None
) -> str | None:
    """A title by the model; None where it made none that can be shown."""
    shown = [
        text_message(role, words)
        for example in EXAMPLES
        for role, words in zip(_ROLES, example, strict=True)
    ]
    asked = text_message("user", question[:_PART])
    sampling = Sampling(temperature=0.0, max_tokens=24)
    prompt = (text_message("system", ASKING), *shown, asked)
    request = Request(prompt, sampling, stop=("\n",), context=context or Context())
    try:
        async with models.lease(model) as lm:
            check_abilities(lm.name, lm.capabilities, request)
            return cleaned(text_of((await reply(lm, request)).message))
    except KataribeError:
        return None  # the first words of the question stand instead


def cleaned(said: str) -> str | None:
    """What a model said as a title, or None for something that is none."""
    line = next((line for line in said.strip().splitlines() if line.strip()), "")
    line = re.sub(r"^(title|タイトル|題名)\s*[:：]\s*", "", line.strip(), flags=re.IGNORECASE)
    line = re.split(r"(?<=\w)[.!?]\s|[。！？]", line)[0]  # one sentence
    line = line.strip(" \"'*#`「」『』“”.。").strip()
    examples = {title.casefold() for _, title in EXAMPLES}
    repeats = line.casefold() in examples or line.casefold() in ASKING.casefold()
    if len(line) < 2 or len(line.split()) > MOST_WORDS or repeats:
        return None
    return line[:LONGEST]


def keep_title(tx: Connection, owner: str, id_: str, title: str) -> Conversation:
    """Sets a model's title, unless a person was quicker."""
    found = conversations.get(tx, owner, id_)
    if found.titled_by is not None:
        return found
    return conversations.change(tx, owner, id_, title=title, titled_by="model")
