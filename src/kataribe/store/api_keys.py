"""API keys of people: shown once when they are made, and kept as hashes."""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy import Connection

from kataribe.base.errors import InputError, NotFoundError
from kataribe.store import tables
from kataribe.store.ids import new_id
from kataribe.store.sessions import hash_of

PREFIX = "sk-kataribe-"
"""How every key begins, so that people and scanners of source code know one when they see it."""

MOST = 100
"""Keys of one person."""

NOTED = 60.0
"""Seconds between two notes that a key was used."""

_SHOWN = len(PREFIX) + 4
_LONGEST_NAME = 100
_k = tables.api_keys


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key as it is kept.

    Attributes:
        person: Whose it is.
        begins: Its first letters, to tell keys apart.
        used_at: When it was last used, to a minute; None: never.
    """

    id: str
    person: str
    name: str
    begins: str
    created_at: float
    used_at: float | None

    def is_due(self, now: float) -> bool:
        """Whether its use should be noted; also when the clock went back."""
        return self.used_at is None or abs(now - self.used_at) >= NOTED


def make(tx: Connection, person: str, name: str, now: float) -> tuple[ApiKey, str]:
    """A new key, and the words that are to be shown this once; raises `InputError`."""
    name = name.strip()
    if not name or len(name) > _LONGEST_NAME or not name.isprintable():
        raise InputError(
            f"The key's name has {len(name)} characters, but must have 1 to {_LONGEST_NAME} that "
            "can be shown. Name it after what will use it.",
            param="name",
        )
    count = tx.scalar(sa.select(sa.func.count()).select_from(_k).where(_k.c.person == person))
    if (count or 0) >= MOST:
        raise InputError(
            f"There are {count} keys already, and at most {MOST} are kept for one person. "
            "Delete one that is no longer used.",
            param="name",
        )
    words = PREFIX + secrets.token_urlsafe(32)
    key = ApiKey(new_id(), person, name, words[:_SHOWN], now, None)
    tx.execute(
        _k.insert().values(
            id=key.id,
            person=person,
            name=name,
            hash=hash_of(words),
            begins=key.begins,
            created_at=now,
        )
    )
    return key, words


def find(tx: Connection, words: str) -> ApiKey | None:
    """The key of those words, if its person has an account that is enabled.

    Looked up by hash: how long that takes says nothing about any key.
    """
    people = tables.people
    wanted = hash_of(words)
    row = tx.execute(
        sa.select(_k)
        .join(people, people.c.id == _k.c.person)
        .where(_k.c.hash == wanted, people.c.password.is_not(None), people.c.disabled.is_(False))
    ).one_or_none()
    if row is None or not hmac.compare_digest(row.hash, wanted):
        return None
    return _key(row)


def note_use(tx: Connection, id_: str, now: float) -> None:
    """Notes that a key was used."""
    tx.execute(_k.update().where(_k.c.id == id_).values(used_at=now))


def list_keys(tx: Connection, person: str) -> list[ApiKey]:
    """A person's keys, oldest first."""
    rows = tx.execute(sa.select(_k).where(_k.c.person == person).order_by(_k.c.created_at, _k.c.id))
    return [_key(row) for row in rows]


def remove(tx: Connection, person: str, id_: str) -> ApiKey:
    """Deletes the person's key of that id; raises `NotFoundError`, also for another's."""
    for key in list_keys(tx, person):
        if key.id == id_:
            tx.execute(_k.delete().where(_k.c.id == id_))
            return key
    raise NotFoundError(
        f"There is no key {id_[:60]!r}. It may have been deleted.", param="key", code="not_found"
    )


def _key(row: sa.Row[tuple[object, ...]]) -> ApiKey:
    found = row._mapping
    return ApiKey(
        found["id"],
        found["person"],
        found["name"],
        found["begins"],
        found["created_at"],
        found["used_at"],
    )
