"""A database of its own for each test, and rows to put into it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy import Connection

from kataribe.store import conversations, messages
from kataribe.store.database import Store
from kataribe.store.ids import new_id
from kataribe.store.messages import Message
from kataribe.store.tables import LOCAL, people


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(tmp_path / "kataribe.db")
    yield opened
    opened.close()


def person(tx: Connection, id_: str) -> str:
    tx.execute(sa.insert(people).values(id=id_, name=id_, shown=id_, disabled=False, created_at=0))
    return id_


def talk(tx: Connection, *words: str, owner: str = LOCAL, title: str = "") -> tuple[str, list[str]]:
    """A conversation of these messages in turn, the person's first; gives its id and theirs."""
    id_ = new_id()
    conversations.create(tx, owner, id_, title=title)
    said: list[str] = []
    for number, text in enumerate(words):
        role, state = (("user", "sent"), ("assistant", "done"))[number % 2]
        parent = said[-1] if said else None
        message = Message(new_id(), id_, parent, role, state, text, model="pico")
        said.append(messages.add(tx, owner, message).id)
        conversations.touch(tx, id_, said[-1])
    return id_, said
